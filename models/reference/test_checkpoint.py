"""The checkpoint's page names everything that a checkpoint holds, in the shapes that it has."""

import json
import re
from pathlib import Path

import pytest
from safetensors import safe_open

MODELS = Path(__file__).parent.parent
FOLDER = MODELS / "spoken-english/checkpoint"
CONFIG = json.loads((FOLDER / "config.json").read_text())
PAGE = (MODELS.parent / "docs/checkpoint-format.md").read_text()
WHOLE_SECTIONS = ("log_mel", "segmentation", "alignment")  # with a table each


def keys(value, path="") -> set[str]:
    """Every key of the configuration as the page writes it: `a.b`, `tasks[].name`."""
    if isinstance(value, list) and isinstance(value[0], dict):
        return {f"{path}[]"}.union(*(keys(v, f"{path}[]") for v in value))
    if not isinstance(value, dict) or path in ("provenance.versions", "calibration", "conformal"):
        return {path}
    return set().union(*(keys(v, f"{path}.{k}" if path else k) for k, v in value.items()))


def named(section: str) -> set[str]:
    """What the first column of a section's tables names."""
    (text,) = re.findall(rf"^#+ `{re.escape(section)}`\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_page_names_the_keys_of_the_configuration_and_no_other_that_is_required():
    sections = {*WHOLE_SECTIONS, "model"}
    found = keys({k: v for k, v in CONFIG.items() if k not in sections}) | sections
    optional = set(re.findall(r"^\| `([^`]+)` \|[^|]*\| optional", PAGE, re.MULTILINE))
    assert found <= named("config.json") and named("config.json") - found <= optional
    for section in WHOLE_SECTIONS:
        assert named(section) == set(CONFIG[section])
    assert named("model") == keys(CONFIG["model"])


def test_the_page_names_the_calibration_of_every_kind():
    (text,) = re.findall(r"### `calibration`\n(.*?)### ", PAGE, re.DOTALL)
    for task in CONFIG["model"]["tasks"]:
        for modalities, calibration in CONFIG["calibration"][task["name"]].items():
            assert f"`{modalities}`" in text
            (row,) = [line for line in text.splitlines() if line.startswith("|") and f"`{task['kind']}`" in line]
            assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == set(calibration)


def sizes(prefix: str) -> dict[str, int]:
    """What the letters of a table mean, as the line above it says."""
    c = CONFIG["model"]
    if prefix == "alignment":
        return {"D": c["speech"]["width"], "H": CONFIG["alignment"]["hidden"]}
    if prefix != "fusion":
        e = c[prefix]
        more = {"M": e["n_mels"]} if prefix == "speech" else {"V": e["vocabulary"], "P": e["positions"]}
        return {"D": e["width"], "N": e["ffn"], **more}
    f, e = c["fusion"], c["experts"]
    return {"D": f["width"], "H": f["pooling"], "E": e["count"], "W": e["width"], "K": len(c["tasks"])}


def layout() -> dict[str, list[int]]:
    """Every tensor that the page's tables promise for the shipped configuration."""
    c, result = CONFIG["model"], {}
    outputs = {t["name"]: 1 if t["kind"] == "ordinal" else len(t["labels"]) for t in c["tasks"]}
    text = PAGE.split("## `model.safetensors`")[1].split("### Other names")[0]
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        _, names, shapes, _ = line.split("|")
        shapes = re.findall(r"\[([^\]]*)\]", shapes)
        names = re.findall(r"`([^`]+)`", names)
        assert len(names) == len(shapes), line
        for name, shape in zip(names, shapes):
            prefix = name.split(".")[0]
            count = c["experts"]["count"] if prefix == "moe" else c.get(prefix, {}).get("layers", 1)
            values = {"i": range(count), "m": ("audio", "text"), "p": ("query", "key", "value", "output")}
            values["task"] = outputs
            choices = [{}]
            for letter in re.findall(r"\{(\w+)\}", name):
                choices = [{**one, letter: value} for one in choices for value in values[letter]]
            for one in choices:
                letters = sizes(prefix if prefix in ("speech", "text", "alignment") else "fusion")
                letters["R"] = c["fusion"].get(f"{one.get('m')}_row")
                letters["C"] = outputs.get(one.get("task"))
                result[name.format(**one)] = [size(term, letters) for term in shape.split(",")]
    return result


def size(term: str, letters: dict[str, int]) -> int:
    """`2 D`: a product."""
    result = 1
    for factor in term.split():
        result *= int(factor) if factor.isdigit() else letters[factor]
    return result


def test_the_page_gives_the_shape_of_every_tensor_and_of_no_other():
    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}
    assert layout() == found


@pytest.mark.parametrize("piece", ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
def test_the_vocabulary_is_as_the_page_says(piece):
    lines = (FOLDER / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == "" and len(set(lines)) == len(lines) == CONFIG["model"]["text"]["vocabulary"]
    assert piece in lines and lines[0] == "[PAD]" and f"`{piece}`" in PAGE
