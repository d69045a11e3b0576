r"""Writes `golden.safetensors`: inputs and every stage's output for four documents, cut from the sample recording.

    python golden.py --checkpoint ../spoken-english/checkpoint --recipe ../spoken-english/recipe.json \
        --sample ../../examples/data/session.wav --out FILE

Names are `inputs/DOCUMENT/...` and `SET/DOCUMENT/STAGE`, for the sets `f32` and `int8` (PyTorch on the dequantised int8
weights, those that the recipe leaves float as they are). Absent modalities have no tensors. `taps/MODULE` are those of
the parity ledger, of another input (`taps.py`). The sample's SRT lies beside it. `docs/golden.md` lists shapes.
"""

import argparse
import json
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
from segment import SegmentConfig, segment
from taps import taps
from word_pieces import Cue, token_rows

SCHEMA = "hilbert.golden/1"


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
    out, device = {}, model.fusion.null_audio.device
    fusion = model.config.fusion
    audio, text = (torch.zeros(0, width, device=device) for width in (fusion.audio_row, fusion.text_row))
    if "log_mel" in inputs:
        audio = out["audio_rows"] = model.speech(inputs["log_mel"].to(device), inputs["mel_mask"].to(device))
    if "tokens" in inputs:
        text = out["text_rows"] = model.text(inputs["tokens"].to(device), inputs["token_mask"].to(device))
    logits, fused = model(
        one_document(audio, inputs.get("audio_middles", []), audio.shape[1]),
        one_document(text, inputs.get("text_middles", []), text.shape[1]),
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
