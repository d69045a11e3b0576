r"""What merging costs beyond `n_max` rows, on real recordings of minutes to hours: the same document with all its rows.

    python evaluate_merging.py --checkpoint ../spoken-english/checkpoint --recipe ../spoken-english/recipe.json \
        --data DIR [--out ../spoken-english/merging.json]

Documents are read book chapters with their verbatim transcripts, a cue for each clip: each chapter, all chapters of a
reader in a row, all of them in a row; then the recorded sessions with what a recogniser heard, in a row by quarters,
halves and all, several speakers in one document; then everything in a row. Each of them twice, with its cues as they
are and cut to 2 to 6 s. What stands in a row is segmented by itself, and its times are moved on. The summary is over
the documents that have more than `n_max` rows of a modality: all of them, and those of one speaker.

The weights are those that ship. The encoders were distilled on this speech too: what is compared is the fusion with
few rows and with all of them, not either with the truth.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import recipe
from checkpoint import load, with_int8_weights
from data import RATE, join, read_audio, sessions, utterance_audio
from document import audio_rows, middle, text_rows
from golden import after_encoders
from hilbert import Hilbert, TaskConfig
from log_mel import LogMelConfig
from outline import recut, session_cues
from segment import SegmentConfig
from word_pieces import Cue

N_MAX = (64, 128, 256, 512)
SHARES = (4, 2, 1)  # the sessions in a row, in so many parts
CUES = ("as they are", "2 to 6 s")
ONE_SPEAKER = ("chapter", "reader")  # how the names of their documents begin
MODALITIES = ("audio", "text")

Recording = tuple[str, np.ndarray, list[Cue]]  # name, samples at `RATE`, cues


@dataclass
class Encoded:
    """Both encoders' rows of a recording, and where the middle of each lies, in seconds."""

    seconds: float
    audio_rows: Tensor  # [Sa, R]
    audio_middles: list[float]
    text_rows: Tensor  # [St, R]
    text_middles: list[float]  # NaN where untimed

    def count(self, modality: str) -> int:
        return len(getattr(self, f"{modality}_rows"))


def chapters(data: Path) -> Iterator[Recording]:
    """READER-CHAPTER, its clips in a row, a cue for each clip."""
    folder, clips = data / "distill/librispeech", {}
    for line in sorted((folder / "transcripts.txt").read_text().splitlines()):
        name, text = line.split(" ", 1)
        clips.setdefault(name.rsplit("-", 1)[0], []).append((folder / f"{name}.opus", text))
    for chapter, every in clips.items():
        samples, spans = join([read_audio(path) for path, _ in every], 0.0, None, None)
        yield chapter, samples, clip_cues([text for _, text in every], spans)


def clip_cues(texts: list[str], spans: list[tuple[int, int]]) -> list[Cue]:
    """What is said in each span of samples."""
    return [Cue(text, start / RATE, end / RATE) for text, (start, end) in zip(texts, spans, strict=True)]


def recorded(data: Path) -> Iterator[Recording]:
    """Speaker, session, and what a recogniser heard."""
    for session in sessions(data):
        samples, _ = join(utterance_audio(data, session), session.gap_s, None, None)
        yield session.speaker, samples, session_cues(session)


class Encoders:
    """Those of a model. Each recording is heard once, and its cues are read as they are and as they are cut."""

    def __init__(self, model: Hilbert, vocabulary: list[str], config: dict):
        self.model, self.vocabulary = model, vocabulary
        self.segmentation, self.mel = SegmentConfig(**config["segmentation"]), LogMelConfig(**config["log_mel"])
        self.rng = np.random.default_rng(1)  # of where cues are cut

    def encoded(self, recordings: Iterator[Recording]) -> dict[str, list[Encoded]]:
        """By name, one with each of `CUES`."""
        result = {}
        for name, samples, cues in recordings:
            rows, spans = audio_rows(self.model.speech, samples, self.segmentation, self.mel)
            middles = [(a + b) / 2 / RATE for a, b in spans]
            texts = [self.read(cues), self.read(recut(cues, self.rng))]
            result[name] = [Encoded(len(samples) / RATE, rows, middles, *text) for text in texts]
        return result

    def read(self, cues: list[Cue]) -> tuple[Tensor, list[float]]:
        rows, packed = text_rows(self.model.text, cues, self.vocabulary)
        return rows, [middle(r.start_s, r.end_s) for r in packed]


def in_a_row(parts: Sequence[Encoded]) -> Encoded:
    """One recording after the other, without a pause between them."""
    starts = np.cumsum([0.0, *(p.seconds for p in parts)])
    fields = {}
    for m in MODALITIES:
        fields[f"{m}_rows"] = torch.cat([getattr(p, f"{m}_rows") for p in parts])
        fields[f"{m}_middles"] = [
            float(start) + t for start, p in zip(starts, parts) for t in getattr(p, f"{m}_middles")
        ]
    return Encoded(float(starts[-1]), **fields)


def documents(of_chapter: dict[str, Encoded], of_session: Sequence[Encoded]) -> dict[str, Encoded]:
    """By name: each chapter, which goes by READER-CHAPTER, then what is made of several."""
    result, readers = {f"chapter {name}": one for name, one in of_chapter.items()}, {}
    for name, one in of_chapter.items():
        readers.setdefault(name.split("-")[0], []).append(one)
    result |= {f"reader {name}": in_a_row(every) for name, every in readers.items()}
    result["all readers"] = in_a_row([*of_chapter.values()])
    for share in SHARES:
        for chosen in np.array_split(np.arange(len(of_session)), share):
            name = f"sessions {chosen[0] + 1} to {chosen[-1] + 1}"
            result[name] = in_a_row([of_session[i] for i in chosen])
    result["everything"] = in_a_row([*of_chapter.values(), *of_session])
    return result


@dataclass
class Outputs:
    """What is made of one document."""

    document: Tensor  # u [3 D]
    probabilities: dict[str, Tensor]  # by task [C]


def outputs(model: Hilbert, config: dict, one: Encoded, n_max: float) -> Outputs:
    """With at most `n_max` rows of each modality, which stays the model's."""
    model.fusion.config = replace(model.fusion.config, n_max=n_max)
    with torch.inference_mode():
        found = after_encoders(model, config, vars(one), vars(one))
    return Outputs(found["document"], {t.name: found[f"probabilities/{t.name}"] for t in model.config.tasks})


def decided(task: TaskConfig, p: Tensor) -> list[int]:
    """The labels that hold. [C]"""
    return (p > 0.5).nonzero()[:, 0].tolist() if task.kind == "multi_label" else [int(p.argmax())]


def change(tasks: list[TaskConfig], exact: Outputs, found: Outputs) -> dict:
    """The largest of any probability, the tasks whose class is another, and that of the document vector."""
    pairs = [(t, exact.probabilities[t.name], found.probabilities[t.name]) for t in tasks]
    vector = (found.document - exact.document).norm() / exact.document.norm()
    return {
        "probability": round(max(float((q - p).abs().max()) for _, p, q in pairs), 6),
        "classes_changed": [t.name for t, p, q in pairs if decided(t, q) != decided(t, p)],
        "document_vector": round(float(vector), 6),
    }


def measured(model: Hilbert, config: dict, one: Encoded) -> dict:
    """What a document holds and is decided to be, and by how much each of `N_MAX` changes that."""
    tasks, exact = model.config.tasks, outputs(model, config, one, math.inf)
    merged = []
    for n_max in N_MAX:
        kept = {f"{m}_rows": min(one.count(m), n_max) for m in MODALITIES}
        merged.append({"n_max": n_max} | kept | change(tasks, exact, outputs(model, config, one, n_max)))
    return {
        "minutes": round(one.seconds / 60, 1),
        **{f"{m}_rows": one.count(m) for m in MODALITIES},
        "probabilities": {name: [round(value, 4) for value in p.tolist()] for name, p in exact.probabilities.items()},
        "merged": merged,
    }


def summary(every: list[dict]) -> list[dict]:
    """For each of `N_MAX`, over those documents, as `measured` gives them, that have more rows of a modality."""
    result = []
    for i, n_max in enumerate(N_MAX):
        beyond = [d for d in every if max(d[f"{m}_rows"] for m in MODALITIES) > n_max]
        line = {"n_max": n_max, "documents": len(every), "exceeding": len(beyond)}
        if beyond:
            found = [d["merged"][i] for d in beyond]
            probabilities = [f["probability"] for f in found]
            line |= {
                "probability": {"largest": max(probabilities), "median": round(float(np.median(probabilities)), 6)},
                "classes": sum(len(d["probabilities"]) for d in beyond),
                "classes_changed": sum(len(f["classes_changed"]) for f in found),
                "document_vector": max(f["document_vector"] for f in found),
            }
        result.append(line)
    return result


def summary_table(summaries: dict[str, list[dict]]) -> str:
    """Markdown, for each set of documents one line for each of `N_MAX`."""
    result = [
        "| documents | `n_max` | exceed it | change of a probability: largest | median | classes changed "
        "| largest relative change of the document vector |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, lines in summaries.items():
        for line in lines:
            cells = [name, str(line["n_max"]), f"{line['exceeding']} of {line['documents']}"]
            if line["exceeding"]:
                cells += [f"{line['probability'][which]:.4f}" for which in ("largest", "median")]
                cells += [f"{line['classes_changed']} of {line['classes']}", f"{line['document_vector']:.4f}"]
            else:
                cells += [""] * 4
            result.append("| " + " | ".join(cells) + " |")
    return "\n".join(result) + "\n"


def document_table(every: list[dict]) -> str:
    """Markdown, a line for each document and `n_max`; rows are those that are kept of those that came in."""
    result = [
        "| document | cues | minutes | `n_max` | audio rows | text rows | change of a probability | classes changed "
        "| relative change of the document vector |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for d in every:
        for m in d["merged"]:
            rows = [f"{m[name]} of {d[name]}" for name in (f"{modality}_rows" for modality in MODALITIES)]
            cells = [d["name"], d["cues"], str(d["minutes"]), str(m["n_max"]), *rows, f"{m['probability']:.4f}"]
            cells += [", ".join(m["classes_changed"]) or "none", f"{m['document_vector']:.4f}"]
            result.append("| " + " | ".join(cells) + " |")
    return "\n".join(result) + "\n"


def evaluate(model: Hilbert, vocabulary: list[str], config: dict, data: Path) -> dict:
    encoders, every = Encoders(model, vocabulary, config), []
    of_chapter, of_session = encoders.encoded(chapters(data)), encoders.encoded(recorded(data))
    for i, cues in enumerate(CUES):
        made = documents({name: e[i] for name, e in of_chapter.items()}, [e[i] for e in of_session.values()])
        every += [{"name": name, "cues": cues} | measured(model, config, one) for name, one in made.items()]
    alone = [d for d in every if d["name"].startswith(ONE_SPEAKER)]
    summaries = {"all": summary(every), "one speaker": summary(alone)}
    return {"model": config["name"], "summary": summaries, "documents": every}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, help="what the bundle is exported with; all int8 without")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="the result as JSON")
    arguments = parser.parse_args()
    model, vocabulary, config = load(arguments.checkpoint)
    stored = recipe.read(arguments.recipe) if arguments.recipe else recipe.Recipe()
    report = evaluate(with_int8_weights(model, stored), vocabulary, config, arguments.data)
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(document_table(report["documents"]))
    print(summary_table(report["summary"]))


if __name__ == "__main__":
    main()
