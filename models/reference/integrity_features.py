"""What alignment says of every transcript's cues, each recording by a head that never heard its speaker."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from alignment import cue_fits, posteriors
from backbones import SPEECH, Backbones, speech_encoder
from characters import readings
from checkpoint import with_int8_weights
from data import FOLDS, Fold, Session, sessions, utterance_audio
from distill_speech import STUDENT_MEL
from document import audio_rows_and_frames
from hilbert import AlignmentHead, SpeechEncoder
from integrity import Transcript, donors, transcripts
from integrity_scores import IntegrityModel
from outline import Outline, noisy, whole
from recogniser import joined, recognised
from rows import cached
from segment import SegmentConfig
from spread import spread
from train_alignment import NOBODY, clips, spoken, train
from word_pieces import Cue

CUT = 2  # of the groups into folds: that of `spoken_english.CALIBRATED_ON`, whose students there are
DRAWS = 3  # transcripts of each label and session


@dataclass(frozen=True)
class Condition:
    """A recording as in the outlines of `heard`, beside the cues of those outlines or ..."""

    heard: str = "whole"
    cues: str = ""  # "plain": without punctuation and case; "utterances", "joined": another recogniser's


CONDITIONS = {
    "whole": Condition(),
    "noisy": Condition("noisy"),
    "plain": Condition(cues="plain"),
    "joined": Condition(cues="joined"),
    "utterances": Condition(cues="utterances"),
    "noise_10_db": Condition("noise_10_db"),
    "telephone": Condition("telephone"),
}
TRAINING_CONDITIONS = ("whole", "noisy")


def plain(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(c for c in text.lower() if c.isalnum() or c.isspace())


def outlines_of(every: list[Session], kind: str) -> list[Outline]:
    return noisy(every) if kind == "noisy" else whole(every, kind)


def cues_of(data: Path, cache: Path, condition: Condition) -> list[list[Cue]]:
    """Of every session those that can be spoken; none where the other recogniser did not hear it."""
    every = sessions(data)
    if condition.cues in ("utterances", "joined"):
        heard = recognised(data, cache)
        cues = [heard.get(i, []) for i in range(len(every))]
        cues = [joined(own) for own in cues] if condition.cues == "joined" else cues
    else:
        cues = [o.cues for o in outlines_of(every, condition.heard)]
    if condition.cues == "plain":
        cues = [[replace(cue, text=plain(cue.text)) for cue in own] for own in cues]
    return [[cue for cue in own if readings(cue.text)] for own in cues]


def drawn_transcripts(data: Path, cache: Path, seed: int, name: str) -> list[Transcript]:
    cues = cues_of(data, cache, CONDITIONS[name])
    found = donors(sessions(data), cues)
    return [t for draw in range(DRAWS) for t in transcripts(cues, found, seed + draw)]


def encoder(speech: str, data: Path, cache: Path, seed: int, device: str, fold: Fold | None) -> SpeechEncoder:
    """One of `backbones.SPEECH` with the int8 weights that are shipped, that never met `fold`."""
    return with_int8_weights(speech_encoder(speech, data, cache, seed, device, fold))


def named(speech: str, fold: Fold | None) -> str:
    """Of what is kept of an encoder: one that never met a scored session serves every fold."""
    return speech if fold is None or not Backbones(speech).hears_sessions else f"{speech}-{fold}"


def trained_head(speech: str, data: Path, cache: Path, seed: int, device: str, fold: Fold | None) -> AlignmentHead:
    """By the book chapters and the prompts of every speaker outside `fold`, of all of them where it is None."""
    every = sessions(data)
    outside = np.ones(len(every), bool) if fold is None else ~fold.holds(every)
    name = named(speech, fold)
    heard = outside if name != speech else np.ones(len(every), bool)
    of = partial(encoder, speech, data, cache, seed, device, fold)
    every_clip = clips(cache / f"clips-{name}.safetensors", spoken(data, heard), of, seed)
    kept = [i for i, s in enumerate(every_clip.session.tolist()) if s == NOBODY or outside[s]]
    path = cache / f"alignment-{speech}{'' if fold is None else f'-{fold}'}.pt"
    return train(every_clip.select(kept), SPEECH[speech].config.width, seed, path, device).cpu()


def recorded_frames(speech: str, data: Path, cache: Path, seed: int, device: str, kind: str, fold: Fold) -> list[dict]:
    """Of each session of a fold every segment's frames [F, D] in float16, and where they start in samples."""

    def build() -> list[dict]:
        every, result = sessions(data), []
        outlines = outlines_of(every, kind)
        of = encoder(speech, data, cache, seed, device, fold)
        for index in np.flatnonzero(fold.holds(every)):
            samples, _ = outlines[index].audio(every[index], utterance_audio(data, every[index]))
            _, frames, spans = audio_rows_and_frames(of, samples, SegmentConfig(), STUDENT_MEL)
            result.append({"frames": [f.half() for f in frames], "starts": [start for start, _ in spans]})
        return result

    return cached(cache / f"frames-{speech}-{fold}-{kind}.pt", build)


@dataclass
class Scored:
    """A transcript and what alignment says of it."""

    transcript: Transcript
    features: np.ndarray  # [Q, 1], the fit of each cue's text
    fold: int


def of_fold(
    speech: str, data: Path, cache: Path, seed: int, device: str, names: tuple[str, ...], fold: Fold
) -> dict[str, list[Scored]]:
    """As `scored`, of one fold's sessions."""
    head = with_int8_weights(trained_head(speech, data, cache, seed, device, fold))
    inside, found, result = np.flatnonzero(fold.holds(sessions(data))).tolist(), {}, {}
    for name in names:
        kind, result[name] = CONDITIONS[name].heard, []
        if kind not in found:
            recorded = recorded_frames(speech, data, cache, seed, device, kind, fold)
            found[kind] = {
                i: posteriors(head, **r, config=SPEECH[speech].config, hop=STUDENT_MEL.hop)
                for i, r in zip(inside, recorded)
            }
        for t in drawn_transcripts(data, cache, seed, name):
            if t.session in found[kind]:
                fits = cue_fits(found[kind][t.session], t.cues)
                result[name].append(Scored(t, fits[:, None], fold.number))
    return result


def scored(
    speech: str, data: Path, cache: Path, seed: int, device: str, names: tuple[str, ...]
) -> dict[str, list[Scored]]:
    """By condition, every transcript, fold by fold: each recording by a head and a student that never heard it."""
    if any(CONDITIONS[name].cues in ("utterances", "joined") for name in names):
        recognised(data, cache)  # once, not by every process
    if not Backbones(speech).hears_sessions:
        every = np.ones(len(sessions(data)), bool)
        of = partial(encoder, speech, data, cache, seed, device, None)
        clips(cache / f"clips-{speech}.safetensors", spoken(data, every), of, seed)
    every = [(speech, data, cache, seed, device, names, Fold(CUT, number)) for number in range(FOLDS)]
    found = spread(of_fold, every, device)
    return {name: [one for of_one in found for one in of_one[name]] for name in names}


def fitted(documents: list[Scored]) -> IntegrityModel:
    swapped = [np.array(s.transcript.swapped) for s in documents]
    return IntegrityModel.fit([s.features for s in documents], swapped, [s.transcript.label for s in documents])
