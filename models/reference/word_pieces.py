"""WordPiece over a vocabulary cut to at most 8,192 pieces, and the packing of cues into rows of 64 tokens.

The specification of the runtime's `tokens`: the pieces are those of Hugging Face's `tokenizers` for BERT, uncased.
"""

import re
import string
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tokenizer(vocabulary: list[str]) -> Tokenizer:
    """BERT's normaliser, pre-tokenizer and greedy longest match; words of over 100 characters are unknown."""
    model = WordPiece({p: i for i, p in enumerate(vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100)
    result = Tokenizer(model)
    result.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    result.decoder = decoders.WordPiece()
    return result


def cut_vocabulary(full: list[str], texts: list[str], size: int) -> list[str]:
    """Special pieces, every ASCII character, the pieces that `texts` use most, then the teacher's own order.

    The teacher's order is roughly by frequency. The result keeps the teacher's order after the special pieces.
    """
    counts = Counter()
    teacher = tokenizer(full)
    for encoding in teacher.encode_batch(texts, add_special_tokens=False):
        counts.update(encoding.tokens)
    characters = [c for c in string.printable if not c.isspace() and not c.isupper()]
    wanted = [*SPECIAL, *characters, *(f"##{c}" for c in string.ascii_lowercase + string.digits)]
    wanted += [piece for piece, n in counts.most_common() if n >= 2]
    plain = (p for p in full if p.isascii() and not p.startswith("["))
    known = set(full)
    kept = dict.fromkeys(p for p in [*wanted, *plain] if p in known)
    kept = set(list(kept)[:size])
    return SPECIAL + [p for p in full if p in kept and p not in SPECIAL]


def load_vocabulary(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@dataclass
class Cue:
    text: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass
class TokenRow:
    """One input of the text encoder: [CLS], pieces, [SEP]."""

    ids: list[int]
    start_s: float | None
    end_s: float | None


def split_sentences(text: str) -> list[str]:
    """Cut after a run of . ! ? that white space follows, and at blank lines."""
    pieces = re.split(r"(?<=[.!?])\s+|\n\s*\n", text)
    return [p.strip() for p in pieces if p.strip()]


def token_rows(cues: list[Cue], vocabulary: list[str], max_tokens: int) -> list[TokenRow]:
    """Rows of at most `max_tokens` tokens; each piece of each cue stands in exactly one.

    A timed cue is a row of its own; when it is too long it is split at words into rows of about the same length, and
    its time is shared out by tokens. Untimed cues are sentences: neighbours are packed together up to the limit.
    """
    model = tokenizer(vocabulary)
    limit = max_tokens - 2
    cls, sep = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    rows, open_ids = [], []

    def chunks(text, even):
        """Whole words, evenly or as full as it goes; a word longer than the limit is split at its pieces."""
        encoding = model.encode(text, add_special_tokens=False)
        words = []
        for piece, word in zip(encoding.ids, encoding.word_ids):
            if words and words[-1][0] == word and len(words[-1][1]) < limit:
                words[-1][1].append(piece)
            else:
                words.append((word, [piece]))
        result = [[]]
        count = len(encoding.ids)
        enough = -(-count // -(-count // limit)) if even and count else limit
        for _, ids in words:
            if len(result[-1]) >= enough or (result[-1] and len(result[-1]) + len(ids) > limit):
                result.append([])
            result[-1] += ids
        return [c for c in result if c]

    def emit(ids, start, end):
        rows.append(TokenRow([cls, *ids, sep], start, end))

    for cue in cues:
        parts = chunks(cue.text, cue.start_s is not None)
        if cue.start_s is None:
            for part in parts:
                if open_ids and len(open_ids) + len(part) > limit:
                    emit(open_ids, None, None)
                    open_ids = []
                open_ids = open_ids + part
            continue
        total, done = sum(map(len, parts)), 0
        for part in parts:
            at = [cue.start_s + (cue.end_s - cue.start_s) * n / total for n in (done, done + len(part))]
            emit(part, at[0], at[1])
            done += len(part)
    if open_ids:
        emit(open_ids, None, None)
    return rows
