"""Cross-attention with a mismatch head: its batches keep cues apart, and it learns to tell matching rows."""

import torch

from hilbert import FusionConfig
from integrity import Transcript
from metrics import auc
from mismatch import Mixed, batch, mixed, rows_of, train
from rows import Document
from train_fusion import Standardiser
from word_pieces import Cue


def document(audio, text=None):
    middles = [5.0 + 10 * i for i in range(len(audio))]
    text = torch.zeros(0, audio.shape[1]) if text is None else text
    return Document(0, 0, audio, middles, text, middles[: len(text)], {}, torch.zeros(len(audio), 4))


def test_a_long_cue_has_several_rows_in_its_own_time_and_all_count_alike():
    texts = {"long": (torch.ones(2, 3), [0.25, 0.75]), "short": (torch.zeros(1, 3), [0.5])}
    transcript = Transcript(0, [Cue("long", 10.0, 20.0), Cue("short", 20.0, 24.0)], [True, False], 1)
    one = mixed(document(torch.randn(4, 5)), transcript, texts)
    assert one.document.text_middles == [12.5, 17.5, 22.0] and one.document.text[:, 0].tolist() == [1, 1, 0]
    other = Mixed(document(torch.randn(2, 5), torch.randn(1, 3)), [1], [True], 2)
    tensors = batch([one, other], Standardiser([one.document, other.document]))
    audio, text = rows_of(tensors)
    assert audio.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]] and text.middle_s[0].tolist() == [12.5, 17.5, 22.0]
    share, swapped, labels = tensors[6:]
    assert share.tolist() == [[[0.5, 0.5, 0], [0, 0, 1]], [[1, 0, 0], [0, 0, 0]]]
    assert swapped.tolist() == [[1, 0], [1, -1]] and labels.tolist() == [1, 2]


def test_it_learns_whether_a_cue_says_what_is_heard_at_its_time(tmp_path):
    """Heard and said rows are the same numbers."""
    rng = torch.Generator().manual_seed(0)

    def drawn():
        heard = torch.randn(3, 6, generator=rng).sign()
        swapped = (torch.rand(3, generator=rng) < 0.5).tolist()
        said = torch.where(torch.tensor(swapped)[:, None], -heard, heard)
        return Mixed(document(heard, said), [1, 1, 1], swapped, 0 if not any(swapped) else 2 if all(swapped) else 1)

    config = FusionConfig(audio_row=6, text_row=6, width=32, heads=2, pooling=8, contrast=16, dropout=0.0)
    model, standardiser = train([drawn() for _ in range(6000)], config, 0, tmp_path / "mismatch.pt", "cpu")
    tensors = batch([drawn() for _ in range(100)], standardiser)
    cues, documents = model(*rows_of(tensors), tensors[6])
    assert auc((tensors[7].flatten() > 0).numpy(), cues.flatten().numpy()) > 0.9
