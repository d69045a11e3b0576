"""What alignment tells of `integrity`: does this transcript belong to this recording? Cross-validation by group.

    python evaluate_integrity.py --data DIR [--cache DIR] [--out ../spoken-english/integrity.json]

For each fold an alignment head is trained that never heard its speakers. Scores of cues and documents are fitted on the
other folds' speakers, each one's features by the head that never heard that speaker.
"""

import json
from pathlib import Path

import numpy as np
import torch

from alignment import Posteriors, features
from checkpoint import with_int8_weights
from command import device, parser
from data import FOLDS, RATE, folds, sessions, utterance_audio
from distill_speech import STUDENT_MEL
from document import audio_rows_and_frames
from integrity import LABELS, Transcript, transcripts
from integrity_scores import IntegrityModel
from metrics import auc, interval, macro_f1
from outline import Outline, noisy, whole
from rows import cached
from segment import SegmentConfig
from spread import spread
from students import speech_student
from train_alignment import clips, spoken, train

FRAME = 4 * STUDENT_MEL.hop  # samples of one encoder frame
KINDS = {"whole": whole, "noisy": noisy}


def encoder(data: Path, cache: Path, seed: int, device: str):
    return with_int8_weights(speech_student(data, cache, seed, device))


def recorded_frames(data: Path, cache: Path, seed: int, device: str, kind: str) -> list[dict]:
    """Of each session the encoder's frames [F, D] in float16 and their middles in seconds [F]."""

    def build() -> list[dict]:
        speech, result = encoder(data, cache, seed, device), []
        for outline, session in zip(KINDS[kind](sessions(data)), sessions(data)):
            samples, _ = outline.audio(session, utterance_audio(data, session))
            _, frames, spans = audio_rows_and_frames(speech, samples, SegmentConfig(), STUDENT_MEL)
            middles = [(start + (np.arange(len(f)) + 0.5) * FRAME) / RATE for f, (start, _) in zip(frames, spans)]
            result.append({"frames": torch.cat(frames).half(), "middle_s": torch.from_numpy(np.concatenate(middles))})
        return result

    return cached(cache / f"frames-{kind}.pt", build)


def held_out_posteriors(data: Path, cache: Path, seed: int, device: str, kind: str, fold: int) -> dict[int, Posteriors]:
    """Of the sessions of one fold, by a head that never heard their speakers."""
    fold_of = folds(sessions(data), 0)
    all_clips = clips(cache / "clips.safetensors", spoken(data), None, seed)
    kept = [i for i, s in enumerate(all_clips.session.tolist()) if s < 0 or fold_of[s] != fold]
    path = cache / f"alignment-without-{fold}.pt"
    head = with_int8_weights(train(all_clips.select(kept), all_clips.frames.shape[1], seed, path, device).cpu())
    recorded, found = recorded_frames(data, cache, seed, device, kind), {}
    for index in np.flatnonzero(fold_of == fold).tolist():
        with torch.inference_mode():
            log = head(recorded[index]["frames"].float()[None])[0]
        found[index] = Posteriors(recorded[index]["middle_s"].numpy(), log)
    return found


def swapped_transcripts(data: Path, seed: int, kind: str) -> list[Transcript]:
    drawn: list[Outline] = KINDS[kind](sessions(data))
    return transcripts(sessions(data), [o.cues for o in drawn], seed)


def scored_fold(data: Path, cache: Path, seed: int, device: str, kind: str, fold: int) -> list[dict]:
    """The features of every transcript of a fold's sessions; cues that cannot be spoken are left out."""
    posteriors, result = held_out_posteriors(data, cache, seed, device, kind, fold), []
    for transcript in swapped_transcripts(data, seed, kind):
        if transcript.session in posteriors:
            mine = posteriors[transcript.session]
            found = [features(mine.between(c.start_s, c.end_s), c.text) for c in transcript.cues]
            kept = [i for i, f in enumerate(found) if f is not None]
            if kept:
                swapped = np.array(transcript.swapped)[kept]
                row = {"features": np.stack([found[i] for i in kept]), "swapped": swapped}
                result.append({**row, "label": transcript.label, "fold": fold, "session": transcript.session})
    return result


def judged(documents: list[dict]) -> dict:
    """Cue AUC and the documents' macro-F1, each fold's scores fitted on the others; intervals draw sessions."""
    for fold in range(FOLDS):
        rest = [d for d in documents if d["fold"] != fold]
        fitted = IntegrityModel.fit(*([d[name] for d in rest] for name in ("features", "swapped", "label")))
        for d in documents:
            if d["fold"] == fold:
                d |= {"scores": fitted.cue_scores(d["features"]), "fit": -d["features"][:, 0]}
                d["decided"] = fitted.probabilities(d["features"]).argmax()
    by_session = {}
    for d in documents:
        by_session.setdefault(d["session"], []).append(d)

    def over(statistic, truth: str, found: str):
        def of_sessions(chosen: np.ndarray) -> float:
            drawn = [d for session in chosen for d in by_session[session]]
            return statistic(*(np.concatenate([np.atleast_1d(d[name]) for d in drawn]) for name in (truth, found)))

        every = np.array(list(by_session))
        return {"mean": round(of_sessions(every), 4), "interval": interval(of_sessions, every)}

    swapped = np.concatenate([d["swapped"] for d in documents])
    labels = [d["label"] for d in documents]
    return {
        "cues": len(swapped),
        "swapped": int(swapped.sum()),
        "documents": np.bincount(labels, minlength=len(LABELS)).tolist(),
        "cue_auc": over(auc, "swapped", "scores"),
        "cue_auc_by_fit_alone": over(auc, "swapped", "fit"),
        "macro_f1": over(macro_f1, "label", "decided"),
    }


def evaluate(data: Path, cache: Path, seed: int, device: str) -> dict:
    clips(cache / "clips.safetensors", spoken(data), encoder(data, cache, seed, device), seed)
    report = {}
    for kind in KINDS:
        recorded_frames(data, cache, seed, device, kind)
        by_fold = spread(scored_fold, [(data, cache, seed, device, kind, fold) for fold in range(FOLDS)], device)
        report[kind] = judged([d for documents in by_fold for d in documents])
        print(kind, report[kind], flush=True)
    return report


def main():
    command = parser(__doc__, "../spoken-english/integrity.json")
    arguments = command.parse_args()
    report = evaluate(arguments.data, arguments.cache, arguments.seed, device())
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
