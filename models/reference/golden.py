r"""Writes `golden.safetensors`: inputs and every stage's output for four documents, cut from the sample recording, and
of a fifth, `long`, the stages that more than `n_max` rows change.

    python golden.py --checkpoint ../spoken-english/checkpoint --recipe ../spoken-english/recipe.json \
        --sample ../../examples/data/session.wav --out FILE

Names are `inputs/DOCUMENT/...` and `SET/DOCUMENT/STAGE`, for the sets `f32` and `int8` (PyTorch on the dequantised int8
weights, those that the recipe leaves float as they are). Absent modalities have no tensors. `taps/MODULE` are those of
the parity ledger, of another input (`taps.py`). The sample's SRT lies beside it. `docs/golden.md` lists shapes.

Rows of `long` are blends of those of `typical`. It is drawn until every merge is decided by more than rounding.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import save_file

import conformal
import recipe
import transcript
from alignment import cue_fits, posteriors
from calibration import probabilities
from checkpoint import load, with_int8_weights
from data import RATE
from document import cue_inputs, middle, one_document, segment_inputs
from hilbert import Hilbert
from integrity_scores import IntegrityModel
from log_mel import LogMelConfig
from merging import RowStore
from segment import SegmentConfig, segment
from taps import taps
from word_pieces import Cue, token_rows

SCHEMA = "hilbert.golden/1"
LONG = {"audio": 600, "text": 560}  # rows
SEED = 1464  # of the first draw, which both shipped models take
DRAWS = 1000  # at most; of one model about one in ten will do
LEAD = 1e-5  # of the merged pair's cosine over the next best; float32 moves a cosine by up to 1e-6
LONG_STAGES = ("audio_pooled", "text_pooled", "cross_audio_pooled", "cross_text_pooled", "joint", "document", "gates")


def documents(samples: np.ndarray, cues: list[Cue]) -> dict[str, tuple[tuple[int, int] | None, list[Cue]]]:
    """name -> range of the sample recording in samples, cues"""
    return {
        "typical": ((0, len(samples)), cues),
        "one_segment": ((0, 6 * RATE), [Cue(cues[0].text.split(".")[0] + ".")]),
        "audio_only": ((20 * RATE, min(32 * RATE, len(samples))), []),
        "text_only": (None, [Cue(sentence) for cue in cues for sentence in cue.text.split(". ")]),
    }


def inputs_of(samples: np.ndarray, span: tuple | None, cues: list[Cue], vocabulary: list[str], config: dict) -> dict:
    """What both encoders are fed of a document, and where it lies in time; absent modalities have no inputs."""
    inputs, most = {}, config["model"]["text"]["max_tokens"]
    if span:
        piece = samples[span[0] : span[1]]
        spans = segment(piece, SegmentConfig(**config["segmentation"]))
        inputs["segments"] = spans
        inputs["log_mel"], inputs["mel_mask"] = segment_inputs(piece, spans, LogMelConfig(**config["log_mel"]))
        inputs["audio_middles"] = [(a + b) / 2 / RATE for a, b in spans]
    if cues:
        rows = inputs["token_rows"] = token_rows(cues, vocabulary, most)
        inputs["tokens"], inputs["token_mask"] = cue_inputs(rows, most)
        inputs["text_middles"] = [middle(r.start_s, r.end_s) for r in rows]
    return inputs


def stages(model: Hilbert, config: dict, inputs: dict) -> dict[str, torch.Tensor]:
    """Every stage's output of one document, on the model's device, absent modalities left out."""
    rows, device = {}, model.fusion.null_audio.device
    if "log_mel" in inputs:
        rows["audio_rows"] = model.speech(inputs["log_mel"].to(device), inputs["mel_mask"].to(device))
    if "tokens" in inputs:
        rows["text_rows"] = model.text(inputs["tokens"].to(device), inputs["token_mask"].to(device))
    return rows | after_encoders(model, config, rows, inputs)


def after_encoders(model: Hilbert, config: dict, rows: dict, middles: dict) -> dict[str, torch.Tensor]:
    """Every later stage's output; `middles` holds `audio_middles` and `text_middles`, seconds."""
    out, fusion, device = {}, model.config.fusion, model.fusion.null_audio.device
    audio = rows.get("audio_rows", torch.zeros(0, fusion.audio_row, device=device))
    text = rows.get("text_rows", torch.zeros(0, fusion.text_row, device=device))
    logits, fused = model(
        one_document(audio, middles.get("audio_middles", []), audio.shape[1]),
        one_document(text, middles.get("text_middles", []), text.shape[1]),
    )
    for name, value in vars(fused).items():
        if name.startswith(("audio", "cross_audio")) and not len(audio):
            continue
        if name.startswith(("text", "cross_text")) and not len(text):
            continue
        out[name] = value[0]
    gates, _ = model.moe.gates(fused.document)
    out["gates"] = gates[0]
    out["experts"] = torch.stack([e(fused.document)[0] for e in model.moe.experts])
    present = "audio_text" if len(audio) and len(text) else "audio" if len(audio) else "text"
    for task in model.config.tasks:
        out[f"head/{task.name}"] = logits[task.name][0]
        out[f"forced/{task.name}"] = model.moe.heads[task.name](out["experts"])  # each expert with all of the gate
        calibration = config["calibration"][task.name][present]
        p = probabilities(task, logits[task.name], calibration)
        out[f"probabilities/{task.name}"] = p[0]
        if task.name in config.get("conformal", {}):
            held = conformal.sets(task, p.double().numpy(), config["conformal"][task.name][present])
            out[f"sets/{task.name}"] = torch.from_numpy(held[0]).float()
    return out


def integrity_stages(
    model: Hilbert, config: dict, inputs: dict, cues: list[Cue], kept_segments: int
) -> dict[str, torch.Tensor]:
    """The alignment's outputs of a document with both modalities, on the CPU; NaN where nothing is known.

    Posteriors are those of the first `kept_segments` alone.
    """
    device = model.fusion.null_audio.device
    _, frames, kept = model.speech.rows_and_frames(inputs["log_mel"].to(device), inputs["mel_mask"].to(device))
    real = [x[k > 0] for x, k in zip(frames, kept)]
    starts = [start for start, _ in inputs["segments"]]
    heard = posteriors(model.alignment, real, starts, model.config.speech, config["log_mel"]["hop"])
    found = cue_fits(heard, cues)
    known = found[~np.isnan(found), None]
    scores = IntegrityModel.from_dict(config["alignment"]["integrity"])
    nothing = np.full(len(config["alignment"]["integrity"]["labels"]), np.nan)
    return {
        "alignment_log_posteriors": heard.log[: sum(len(x) for x in real[:kept_segments])],
        "cue_fits": torch.from_numpy(found),
        "cue_scores": torch.from_numpy(scores.cue_scores(found[:, None])),
        "integrity": torch.from_numpy(scores.probabilities(known) if len(known) else nothing),
    }


@dataclass
class Blend:
    """One modality of the document `long`: each row lies between two rows of `typical`."""

    picked: torch.Tensor  # [S, 2] which two
    share: torch.Tensor  # [S] of the first; the rest is the second's
    times: torch.Tensor  # [S, 2] seconds in float64, NaN where untimed

    def rows(self, typical: torch.Tensor) -> torch.Tensor:
        """[T, R] -> [S, R]"""
        a, b = typical[self.picked].unbind(1)
        return self.share[:, None] * a + (1 - self.share[:, None]) * b

    @classmethod
    def draw(cls, rng: np.random.Generator, modality: str, typical: int) -> "Blend":
        """Rows of 3 to 10 s with pauses of 0.2 to 2 s; every seventh cue is untimed."""
        count = LONG[modality]
        picked, share = rng.integers(0, typical, (count, 2)), rng.random(count, np.float32)
        lengths, pauses = rng.uniform(3, 10, count), rng.uniform(0.2, 2, count)
        ends = np.cumsum(pauses + lengths)
        times = np.stack([ends - lengths, ends], 1)
        if modality == "text":
            times[6::7] = np.nan
        return cls(*(torch.from_numpy(x) for x in (picked, share, times)))


class WatchedStore(RowStore):
    """Knows by how much the closest of its merges was decided."""

    lead = math.inf

    def merge_most_similar(self):
        second, best = sorted(self.cosines)[-2:]
        self.lead = min(self.lead, best - second)
        super().merge_most_similar()


def store_of(model: Hilbert, modality: str, blend: Blend, typical: torch.Tensor) -> WatchedStore:
    """The rows of one modality of `long` as the device keeps them."""
    project = getattr(model.fusion, f"project_{modality}")
    x, score = project(blend.rows(typical), model.fusion.position(blend.times.mean(1)[None])[0])
    store = WatchedStore(model.config.fusion.n_max)
    for row, s, times in zip(x, score.tolist(), blend.times.tolist()):
        store.push(row, s, tuple(times))
    return store


def long_document(sets: dict[str, Hilbert], config: dict, typical: dict[str, dict]) -> dict[str, torch.Tensor]:
    """The tensors of `long`; `typical` holds both encoders' rows of that document for each set."""
    closest = 0
    for seed in range(SEED, SEED + DRAWS):
        rng, blends, stores = np.random.default_rng(seed), {}, {}
        for m in LONG:
            blends[m] = Blend.draw(rng, m, len(typical["f32"][f"{m}_rows"]))
            for name, model in sets.items():
                stores[name, m] = store_of(model, m, blends[m], typical[name][f"{m}_rows"])
        lead = min(s.lead for s in stores.values())
        closest = max(closest, lead)
        if lead >= LEAD:
            break
    else:
        raise SystemExit(
            f"document long: in every one of {DRAWS} draws the best cosine of a merge leads by at most {closest:.1e}, "
            f"expected {LEAD:.0e}; rounding could change what merges"
        )
    print(f"long: seed {seed}, the best cosine of every merge leads by at least {lead:.1e}")
    out = {}
    for m, blend in blends.items():
        out |= {f"inputs/long/{m}_{name}": value for name, value in vars(blend).items()}
    for name, model in sets.items():
        rows = {f"{m}_rows": b.rows(typical[name][f"{m}_rows"]) for m, b in blends.items()}
        middles = {f"{m}_middles": b.times.mean(1).tolist() for m, b in blends.items()}
        found = after_encoders(model, config, rows, middles)
        kept = {k: v for k, v in found.items() if k in LONG_STAGES or k.startswith(("head/", "probabilities/"))}
        for m in LONG:
            store = stores[name, m]
            kept[f"{m}_sizes"] = torch.tensor(store.sizes)
            kept[f"{m}_merged_times"] = torch.tensor(store.times, dtype=torch.float64)
            kept[f"{m}_merged_x"] = torch.stack(store.x[::16])
        out |= {f"{name}/long/{stage}": value for stage, value in kept.items()}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, help="what the bundle is exported with; all int8 without")
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model, vocabulary, config = load(arguments.checkpoint)
    stored = recipe.read(arguments.recipe) if arguments.recipe else recipe.Recipe()
    sets = {"f32": model, "int8": with_int8_weights(model, stored)}
    samples, _ = soundfile.read(arguments.sample, dtype="float32")
    tensors = {}
    for name, (span, cues) in documents(samples, transcript.read(arguments.sample.with_suffix(".srt"))).items():
        inputs = inputs_of(samples, span, cues, vocabulary, config)
        # the typical document keeps its first segment's log-mel and posteriors only
        kept = 1 if name == "typical" else len(inputs.get("segments", []))
        if span:
            tensors[f"inputs/{name}/range"] = torch.tensor(span)
            tensors[f"inputs/{name}/segments"] = torch.tensor(inputs["segments"])
            tensors[f"inputs/{name}/log_mel"] = inputs["log_mel"][:kept]
        if cues:
            tensors[f"inputs/{name}/tokens"] = inputs["tokens"]
            tensors[f"inputs/{name}/token_mask"] = inputs["token_mask"]
            times = [[float("nan")] * 2 if r.start_s is None else [r.start_s, r.end_s] for r in inputs["token_rows"]]
            tensors[f"inputs/{name}/cue_times"] = torch.tensor(times, dtype=torch.float64)
            text = json.dumps([vars(c) for c in cues]).encode()
            tensors[f"inputs/{name}/cues_json"] = torch.tensor(list(text), dtype=torch.uint8)
        for set_name, one in sets.items():
            with torch.inference_mode():
                found = stages(one, config, inputs)
                if one.alignment is not None and span and cues:
                    found |= integrity_stages(one, config, inputs, cues, kept)
                for stage, value in found.items():
                    tensors[f"{set_name}/{name}/{stage}"] = value.clone()
    with torch.inference_mode():
        rows = ("audio_rows", "text_rows")
        typical = {name: {r: tensors[f"{name}/typical/{r}"] for r in rows} for name in sets}
        tensors |= long_document(sets, config, typical)
    tensors |= {f"taps/{name}": value for name, value in taps(model, config, vocabulary).items()}
    wav = f"examples/data/{arguments.sample.name}"
    metadata = {
        "schema": SCHEMA,
        "generator": "models/reference/golden.py",
        "wav": wav,
        "int8_floats": json.dumps(stored.floats(model)),
    }
    save_file({k: v.contiguous() for k, v in tensors.items()}, arguments.out, metadata)


if __name__ == "__main__":
    main()
