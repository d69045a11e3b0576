"""Memory and speed of `hilbert classify -` over hours of looped speech: a table, and a plot of memory against time.

    python benches/hours.py target/dist/hilbert --hours 0.0167 1 24 --plot docs/memory.svg

Linux. The recording is the sample of examples/data over and over, 16-bit samples through a pipe. Resident memory is what
`/proc/PID/status` says while the command runs: anonymous pages, which are heap, stack and relocated data, and pages of files, which
are the program with the bundle that it holds.
"""

import argparse
import json
import subprocess
import threading
import time
import wave
from pathlib import Path

ROOT = Path(__file__).parent.parent
RATE = 16_000
MIB = 1 << 20


def status(pid: int) -> dict[str, int]:
    """Bytes by the names of /proc; nothing once the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) << 10 for name, value in pairs}


def run(hilbert: Path, hours: float) -> dict:
    """One run: samples of (hours fed, anonymous, resident), peaks, seconds of each hour."""
    with wave.open(str(ROOT / "examples/data/session.wav")) as wav:
        clip = wav.readframes(wav.getnframes())
    total, fed = int(hours * 3600 * RATE) * 2, 0
    command = [
        hilbert,
        "classify",
        "-",
        "--raw",
        f"s16le:{RATE}:1",
        "--format",
        "json",
        "--stats",
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    samples, peaks, ended = [], {}, threading.Event()

    def sample():
        while not ended.wait(0.02):
            found = status(process.pid)
            if "VmRSS" in found:
                samples.append(
                    (fed / 2 / RATE / 3600, found["RssAnon"], found["VmRSS"])
                )
                for name in ("RssAnon", "RssFile", "VmHWM"):
                    peaks[name] = max(peaks.get(name, 0), found[name])

    watcher = threading.Thread(target=sample)
    watcher.start()
    began, marks = time.monotonic(), []
    while fed < total:
        at = fed % len(clip)
        fed += process.stdin.write(clip[at : at + min(1 << 14, total - fed)])
        if fed >= (len(marks) + 1) * 3600 * RATE * 2:
            marks.append(time.monotonic() - began)
    process.stdin.close()
    result = json.load(process.stdout)
    ended.set()
    watcher.join()
    process.wait()
    seconds = [b - a for a, b in zip([0, *marks], marks)]
    return {
        "hours": hours,
        "samples": samples,
        "peaks": peaks,
        "seconds": seconds,
        "result": result,
    }


def plot(found: dict, planned: int) -> str:
    """An SVG of the samples of one run."""
    width, height, left, top = 760, 300, 60, 20
    most = 1.15 * max(max(s[2] for s in found["samples"]), planned)
    x = lambda hours: left + hours / found["hours"] * width
    y = lambda size: top + height - size / most * height
    step = max(1, len(found["samples"]) // 1500)
    line = lambda i: " ".join(
        f"{x(s[0]):.1f},{y(s[i]):.1f}" for s in found["samples"][::step]
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} {top + height + 60}">',
        '<g font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for size in range(0, int(most / MIB) + 1, 10):
        at = y(size * MIB)
        parts.append(f'<path d="M{left} {at:.1f}h{width}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{size}</text>'
        )
    for i in range(7):
        hours = found["hours"] * i / 6
        parts.append(
            f'<text x="{x(hours):.1f}" y="{top + height + 20}" text-anchor="middle">{hours:g}</text>'
        )
    parts += [
        f'<path d="M{left} {y(planned):.1f}h{width}" stroke="#b45309" stroke-dasharray="6 4"/>',
        f'<text x="{left + width}" y="{y(planned) - 6:.1f}" text-anchor="end" fill="#b45309">planned heap</text>',
        f'<polyline points="{line(1)}" fill="none" stroke="#1d4ed8" stroke-width="1.5"/>',
        f'<text x="{left + 8}" y="{y(found["samples"][-1][1]) + 18:.1f}" fill="#1d4ed8">anonymous</text>',
        f'<polyline points="{line(2)}" fill="none" stroke="#111" stroke-width="1.5"/>',
        f'<text x="{left + 8}" y="{y(found["samples"][-1][2]) - 8:.1f}">resident</text>',
        f'<text x="{left + width / 2}" y="{top + height + 45}" text-anchor="middle">hours of the recording</text>',
        f'<text x="{left - 45}" y="{top - 6}">MiB</text>',
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hilbert", type=Path, help="the command to run")
    parser.add_argument(
        "--hours",
        type=float,
        nargs="+",
        default=[1 / 60, 1],
        help="lengths of the recordings",
    )
    parser.add_argument("--plot", type=Path, help="SVG of the longest one")
    arguments = parser.parse_args()
    plan = subprocess.run(
        [arguments.hilbert, "plan", "--format", "json"],
        stdout=subprocess.PIPE,
        check=True,
    )
    planned = json.loads(plan.stdout)["total"]
    print(
        "| recording | anonymous | files | peak resident | planned heap | seconds an hour, first and last |"
    )
    print("|---|---|---|---|---|---|")
    runs = [run(arguments.hilbert, hours) for hours in arguments.hours]
    for found in runs:
        peaks, seconds = found["peaks"], found["seconds"]
        assert (
            abs(found["result"]["input"]["duration_s"] - found["hours"] * 3600) < 0.01
        )
        length = (
            f"{found['hours'] * 60:.0f} min"
            if found["hours"] < 1
            else f"{found['hours']:g} h"
        )
        sizes = [
            f"{peaks[name] / 1e6:.1f} MB" for name in ("RssAnon", "RssFile", "VmHWM")
        ]
        pace = f"{seconds[0]:.2f}, {seconds[-1]:.2f}" if seconds else ""
        print(f"| {length} | {' | '.join(sizes)} | {planned / 1e6:.1f} MB | {pace} |")
    if arguments.plot:
        arguments.plot.write_text(
            plot(max(runs, key=lambda found: found["hours"]), planned)
        )


if __name__ == "__main__":
    main()
