"""The built-in collection: 104 recorded sessions, whole, in noise and cropped, and their experts' scores."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

import devices
from alignment import settings
from backbones import (
    LIBRISPEECH,
    Backbones,
    SpeechRows,
    TextRows,
    speech_backbone,
    speech_encoder,
    text_backbone,
    text_encoder,
)
from calibration import MODALITIES
from collection import Collection, Truth
from data import (
    AT_RISK_BELOW,
    LEVELS,
    RATE,
    Fold,
    Session,
    data_hash,
    folds,
    segment_scores,
    sessions,
    utterance_audio,
)
from document import middle
from hilbert import AlignmentConfig, ExpertsConfig, FusionConfig, HilbertConfig, TaskConfig
from integrity_features import TRAINING_CONDITIONS, fitted, scored, trained_head
from outline import TESTING_KINDS, TRAINING_KINDS, Outline, outlines
from rows import Document, cached
from targets import Scale, Target
from train_fusion import Schedule

STUDENTS = Backbones()
TEACHERS = Backbones("whisper-tiny.en", "minilm-l6")
BUNDLES = {STUDENTS: "spoken-english", TEACHERS: "spoken-english-large"}
CALIBRATED_ON = (2,)  # the cut on which r was nearest to its mean over five (docs/decisions/0001)
SCALE = Scale(centre=8.0, unit=1.0, start=0.3)
TARGETS = [
    Target(TaskConfig("proficiency", "ordinal", ["basic", "intermediate", "proficient"]), LEVELS, scale=SCALE),
    Target(TaskConfig("fluency", "ordinal", ["at_risk", "fluent"]), (AT_RISK_BELOW,), weight=0.5, scale=SCALE),
]
SCORE_OF = {"proficiency": "total", "fluency": "fluency"}  # the experts', by task
CREDIT = "speechocean762 (Zhang et al. 2021), CC BY 4.0"
LICENCE = "CC-BY-4.0"
HEARD_BY_ALL = ("distill", "spoken-english")  # of the data's folders: by every alignment head


@dataclass
class SpokenEnglish(Collection):
    data: Path
    cache: Path
    seed: int
    device: str
    backbones: Backbones = STUDENTS
    targets: list[Target] = field(default_factory=lambda: TARGETS)
    training_kinds: tuple[str, ...] = TRAINING_KINDS
    testing_kinds: tuple[str, ...] = TESTING_KINDS
    schedule: Schedule = Schedule(swap_text=0.8)  # what is read says nothing of how (docs/decisions/0005)

    @property
    def name(self) -> str:
        return str(self.backbones)

    @property
    def bundle(self) -> str:
        """The name of what is trained."""
        plain = "".join(c if c.isalnum() else "-" for c in str(self.backbones))
        return BUNDLES.get(self.backbones, f"spoken-english-{plain}")

    def config(self) -> HilbertConfig:
        """Without a speech encoder where no bundle can hold it: a fusion learns from its rows all the same."""
        speech, text = self.backbones.parts
        return HilbertConfig(
            speech.config, text.config, FusionConfig(), ExpertsConfig(), [t.task for t in self.targets]
        )

    @property
    def encoders_by_fold(self) -> bool:
        return self.backbones.hears_sessions

    def documents(self, left_out: Fold | None = None) -> dict[str, list[Document]]:
        """The documents of every kind of `outlines`; rows are computed once for each encoder and kind.

        With a fold left out, its sessions stand in the kinds that test and the others in those that train, where the
        speech encoder is one that never met the fold; other encoders give every document all the same.
        """
        where, names = (self.data, self.cache, self.seed, self.device), self.backbones
        every = sessions(self.data)
        drawn = outlines(every, self.seed)
        left_out = left_out if self.encoders_by_fold else None
        inside = np.zeros(len(every), bool) if left_out is None else left_out.holds(every)

        def needed(kind: str, outline: Outline) -> bool:
            return left_out is None or kind in (TESTING_KINDS if inside[outline.session] else TRAINING_KINDS)

        def rows(modality: str, name: str, encoder, encode, wanted: dict[str, list[Outline]]) -> dict[str, list[dict]]:
            loaded, result = None, {}
            for kind, of_kind in wanted.items():
                path = self.cache / f"rows-{modality}-{name}-{kind}.pt"
                if loaded is None and not path.exists():
                    loaded = encoder()
                result[kind] = cached(path, encode, of_kind, loaded)
            return result

        speech = partial(speech_backbone, names.speech, *where, left_out)
        name = names.speech if left_out is None else f"{names.speech}-{left_out}"
        heard_outlines = {kind: [o for o in of_kind if needed(kind, o)] for kind, of_kind in drawn.items()}
        audio = rows("audio", name, speech, partial(heard, self.data), heard_outlines)
        text = rows("text", names.text, partial(text_backbone, names.text, *where), read, drawn)
        return {
            kind: documents(
                every, heard_outlines[kind], audio[kind], [t for o, t in zip(of_kind, text[kind]) if needed(kind, o)]
            )
            for kind, of_kind in drawn.items()
        }

    def having(self) -> dict[str, np.ndarray]:
        """Every session has both."""
        return {m: np.ones(len(sessions(self.data)), bool) for m in MODALITIES}

    def truth(self) -> dict[str, Truth]:
        every = sessions(self.data)
        scores = {task: [s.mean_scores[name] for s in every] for task, name in SCORE_OF.items()}
        return {t.name: Truth(t.classes(scores[t.name]), np.array(scores[t.name])) for t in self.targets}

    def folds(self, cut: int) -> np.ndarray:
        return folds(sessions(self.data), cut)

    def encoders(self):
        where = self.data, self.cache, self.seed, self.device
        return speech_encoder(self.backbones.speech, *where), *text_encoder(self.backbones.text, *where)

    def alignment(self):
        """The head has heard everyone; its scores are fitted on what heads say of speakers that they never heard."""
        where = self.backbones.speech, self.data, self.cache, self.seed, self.device
        conditions = scored(*where, TRAINING_CONDITIONS)
        scores = fitted([s for documents in conditions.values() for s in documents])
        head = trained_head(*where, None)
        return head, {"hidden": AlignmentConfig.hidden, **settings(), "integrity": scores.to_dict()}

    def facts(self) -> dict:
        """A teacher needs no more data than the alignment head on it; what is distilled has read the whole folder."""
        parts, distilled = self.backbones.parts, self.backbones.distilled
        provenance = {"data_sha256": data_hash(self.data) if distilled else data_hash(self.data, HEARD_BY_ALL)}
        if distilled:
            provenance["precision"] = devices.precision(self.device)
        return {
            "name": self.bundle,
            "licence": " AND ".join(dict.fromkeys([LICENCE, *(part.licence for part in parts)])),
            "credits": list(dict.fromkeys([CREDIT, LIBRISPEECH, *self.backbones.credits])),
            "provenance": provenance,
        }


def heard(data: Path, outlines: list[Outline], encoder: SpeechRows) -> list[dict]:
    """The audio fields of each outline's document."""
    every, utterances, result = sessions(data), {}, []
    for outline in outlines:
        session = every[outline.session]
        if outline.session not in utterances:
            utterances = {outline.session: utterance_audio(data, session)}
        samples, spans = outline.audio(session, utterances[outline.session])
        rows, segments = encoder(samples)
        kept = Session(**{**vars(session), "utterances": [session.utterances[i] for i in outline.utterances]})
        result.append(
            {
                "audio": rows,
                "audio_middles": [(a + b) / 2 / RATE for a, b in segments],
                "scores": torch.from_numpy(segment_scores(kept, spans, segments)),
            }
        )
    return result


def read(outlines: list[Outline], encoder: TextRows) -> list[dict]:
    """The text fields of each outline's document."""
    result = []
    for outline in outlines:
        rows, packed = encoder(outline.cues)
        result.append({"text": rows, "text_middles": [middle(r.start_s, r.end_s) for r in packed]})
    return result


def documents(every: list[Session], outlines: list[Outline], audio: list[dict], text: list[dict]) -> list[Document]:
    """What is learnt of a document is what its utterances were scored on average."""
    result = []
    for outline, a, t in zip(outlines, audio, text):
        scores = [every[outline.session].utterances[i]["scores"] for i in outline.utterances]
        targets = {task: float(np.mean([np.mean(s[name]) for s in scores])) for task, name in SCORE_OF.items()}
        result.append(Document(outline.session, outline.session, **a, **t, targets=targets))
    return result
