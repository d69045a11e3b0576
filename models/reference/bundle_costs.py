"""What the large bundle costs beside the small one: its size, and the time and memory of the sample recording.

    python bundle_costs.py [--runs 5] [--out ../spoken-english/large.json]

Needs the command in `target/release` and both bundles. They run in turn, since the machine's speed changes.
"""

import argparse
import json
import subprocess
from pathlib import Path
from statistics import median

from spoken_english import BUNDLES

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples/data/session.wav"


def size(bundle: Path) -> int:
    """Bytes of all its files."""
    return sum(path.stat().st_size for path in bundle.iterdir())


def run(bundle: Path) -> dict:
    """`run` of the result: what one process measured on the sample and its transcript."""
    command = [ROOT / "target/release/hilbert", "classify", SAMPLE, "--transcript", SAMPLE.with_suffix(".srt")]
    command += ["--model", bundle, "--stats", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["run"]


def costs(sizes: dict[str, int], runs: dict[str, list[dict]]) -> dict:
    """Of each bundle its size, and the medians over its runs, of a document with a loaded model."""
    return {
        name: {
            "bytes": sizes[name],
            "total_s": round(median(r["total_s"] for r in mine), 3),
            "peak_resident_bytes": round(median(r["peak_resident_bytes"] for r in mine)),
        }
        for name, mine in runs.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("../spoken-english/large.json"))
    arguments = parser.parse_args()
    folders = {name: ROOT / "models" / name / "bundle" for name in BUNDLES.values()}
    runs = {name: [] for name in folders}
    for _ in range(arguments.runs):
        for name, folder in folders.items():
            runs[name].append(run(folder))
    report = {"runs": arguments.runs, "bundles": costs({n: size(f) for n, f in folders.items()}, runs)}
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
