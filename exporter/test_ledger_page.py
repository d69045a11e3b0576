"""The parity ledger's page in a browser: what it shows, that it loads nothing, that it fits a phone.

    python -m pytest exporter/test_ledger_page.py

Needs Chromium, on the path or as `CHROMIUM`, and the command in `target/release`; without one of them all is skipped.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models/spoken-english"
EXPORT = ROOT / "target/release/hilbert-export"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path and none named by CHROMIUM"),
    pytest.mark.skipif(not EXPORT.exists(), reason=f"{EXPORT} is not built"),
]

COLUMN = """const heads = [...document.querySelectorAll("thead th")];
const place = title => heads.findIndex(head => head.textContent === title);
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    golden = MODEL / "golden.safetensors"
    command = [EXPORT, MODEL / "checkpoint", folder / "bundle", "--golden", golden, "--ledger", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def browse(page: Path, *flags: str) -> str:
    """The page's document after its scripts ran, in a browser that reaches nothing else."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command += [profile, "--virtual-time-budget=2000", *flags, "--dump-dom", page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def asked(ledger: Path, script: str, *flags: str):
    """What the page answers to a script that sets `answer`."""
    page = (ledger / "ledger.html").read_text(encoding="utf-8")
    probe = f"""<pre id="answer"></pre><script>{{
      let answer; {script};
      document.getElementById("answer").textContent = JSON.stringify(answer);
    }}</script></body>"""
    copy = ledger / "probed.html"
    copy.write_text(page.replace("</body>", probe), encoding="utf-8")
    (answer,) = re.findall(r'<pre id="answer">(.*?)</pre>', browse(copy, *flags), re.S)
    return json.loads(html.unescape(answer))


def test_every_layer_of_the_ledger_is_in_the_plot_and_in_the_table(ledger):
    layers = json.loads((ledger / "ledger.json").read_text())["layers"]
    names, dots, lines = asked(
        ledger,
        """answer = [[...document.querySelectorAll("tbody tr td:first-child")].map(cell => cell.dataset.key),
          document.querySelectorAll("circle.end_to_end").length, document.querySelectorAll("line.threshold").length]""",
    )
    assert names == [layer["name"] for layer in layers] and len(names) > 40
    assert (dots, lines) == (len(layers), 2)
    told = asked(ledger, COLUMN + 'answer = document.querySelector("tbody tr").cells[place("f32 to bundle")].innerText')
    assert told.startswith(f"{layers[0]['hops']['float_to_bundle']['snr_db']:.1f}")


def test_layers_are_found_by_their_names_and_sorted_by_their_ratio(ledger):
    shown = asked(
        ledger,
        """const input = document.querySelector("input"); input.value = "MOE.experts";
        input.dispatchEvent(new Event("input"));
        answer = [...document.querySelectorAll("tbody tr")].filter(row => row.offsetParent)
          .map(row => row.cells[0].dataset.key)""",
    )
    assert shown and all(name.startswith("moe.experts.") for name in shown)
    first, second, third = asked(
        ledger,
        COLUMN
        + """const at = place("end to end"), button = document.querySelectorAll("thead button")[at]; answer = [];
        const column = () => [...document.querySelectorAll("tbody tr")].map(row => Number(row.cells[at].dataset.key));
        for (let i = 0; i < 3; i++) { button.click(); answer.push(column()); }""",
    )
    assert first == sorted(first) and second == sorted(first, reverse=True)
    assert third not in (first, second) and sorted(third) == first


def test_nothing_is_loaded_and_no_script_fails(ledger):
    loaded, policy = asked(
        ledger,
        """answer = [performance.getEntriesByType("resource").length,
          document.querySelector("meta[http-equiv=Content-Security-Policy]").content]""",
    )
    assert loaded == 0 and policy.startswith("default-src 'none'")


@pytest.mark.parametrize(("scheme", "flag"), [("light", 1), ("dark", 0)])
def test_it_fits_a_phone_and_is_readable_in_both_colours(ledger, scheme, flag):
    width, content, dark, ground, ink = asked(
        ledger,
        """const style = getComputedStyle(document.body), root = document.documentElement;
        answer = [root.clientWidth, root.scrollWidth, matchMedia("(prefers-color-scheme: dark)").matches,
          style.backgroundColor, style.color]""",
        "--window-size=390,844",
        f"--blink-settings=preferredColorScheme={flag}",
    )
    assert dark == (scheme == "dark") and content <= width <= 500
    assert contrast(ground, ink) > 7


def contrast(a: str, b: str) -> float:
    """Of two colours `rgb(r, g, b)`, as WCAG 2 has it."""

    def luminance(colour: str) -> float:
        parts = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))

    dim, bright = sorted((luminance(a), luminance(b)))
    return (bright + 0.05) / (dim + 0.05)
