"""Beyond `n_max` the most similar neighbours merge; up to it, and for each modality's own vector, nothing changes."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from pytest import approx, fixture, mark, raises
from safetensors.torch import load_file

import golden
from checkpoint import load
from hilbert import (
    ExpertsConfig,
    Fusion,
    FusionConfig,
    Hilbert,
    HilbertConfig,
    Rows,
    SpeechConfig,
    TaskConfig,
    TextConfig,
)
from merging import UNTIMED, RowStore, kept

MODELS = Path(__file__).parents[1]
CONFIG = FusionConfig(audio_row=12, text_row=8, width=16, heads=2, pooling=8, contrast=8)
CROSSED = ("cross_audio_pooled", "cross_text_pooled", "joint", "document")


def store_of(rows, n_max, scores=None, times=None):
    store = RowStore(n_max)
    for i, x in enumerate(rows):
        store.push(torch.tensor(x), scores[i] if scores else 0.0, times[i] if times else UNTIMED)
    return store


def values(store):
    return [x.tolist() for x in store.x]


def fusion(n_max):
    torch.manual_seed(0)
    return Fusion(replace(CONFIG, n_max=n_max)).eval()


def document(count, width):
    return Rows(torch.randn(1, count, width), torch.rand(1, count, dtype=torch.float64) * 60, torch.ones(1, count))


def repeated(rows, times):
    """Each row so many times, one after the other."""
    return Rows(*(x.repeat_interleave(times, 1) for x in vars(rows).values()))


def merged_naively(rows, n_max):
    """Lists of numbers, every pair looked at anew."""

    def alike(a, b):
        def dot(a, b):
            return math.fsum(x * y for x, y in zip(a, b))

        norms = math.sqrt(dot(a, a) * dot(b, b))
        return dot(a, b) / norms if norms else 0.0

    groups = []  # the mean row and how many it stands for
    for row in rows:
        groups.append((row, 1))
        if len(groups) > n_max:
            similar = [alike(a, b) for (a, _), (b, _) in zip(groups, groups[1:])]
            i = similar.index(max(similar))
            (a, m), (b, n) = groups[i : i + 2]
            mean = torch.tensor(
                [(x * m + y * n) / (m + n) for x, y in zip(a, b)]
            ).tolist()  # rounded as the store rounds
            groups[i : i + 2] = [(mean, m + n)]
    return groups


def test_the_most_similar_neighbours_merge_by_size():
    store = store_of([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]], 2, [0.5, 1.5, 2.5], [(0.0, 1.0), (1.0, 2.0), (3.0, 4.0)])
    assert (values(store), store.sizes, store.times) == ([[1.0, 0.0], [0.0, 1.5]], [1, 2], [(0.0, 1.0), (1.0, 4.0)])
    assert store.logits == approx([0.5, math.log(math.exp(1.5) + math.exp(2.5))])
    store.push(torch.tensor([0.0, 4.5]), 0.0)
    assert (values(store), store.sizes) == ([[1.0, 0.0], [0.0, 2.5]], [1, 3])
    assert all(math.isnan(t) for t in store.times[1])  # of a row that has no times


def test_of_equally_similar_pairs_the_earlier_merges():
    assert values(store_of([[1.0], [3.0], [5.0], [7.0]], 3)) == [[2.0], [5.0], [7.0]]


def test_a_row_of_zeros_is_like_no_other():
    assert values(store_of([[0.0, 0.0], [1.0, 0.0], [0.9, 0.1]], 2)) == [[0.0, 0.0], [approx(0.95), approx(0.05)]]
    assert values(store_of([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], 2)) == [[0.5, 0.0], [-1.0, 0.0]]


def test_a_span_covers_both_whichever_comes_first():
    assert store_of([[1.0], [1.0]], 1, times=[(5.0, 9.0), (2.0, 6.0)]).times == [(2.0, 9.0)]


@mark.parametrize("n_max", [1, 2, 5, 12])
def test_merging_is_that_of_plain_lists_and_keeps_rows_times_and_weight(n_max):
    rng = torch.Generator().manual_seed(n_max)
    rows = torch.randn(50, 3, generator=rng).tolist()
    scores = (torch.randn(50, generator=rng) * 4).tolist()
    times = [(0.75 * i, 0.75 * i + 0.5) for i in range(50)]
    store, naive = store_of(rows, n_max, scores, times), merged_naively(rows, n_max)
    assert store.sizes == [size for _, size in naive] and sum(store.sizes) == 50
    assert torch.allclose(torch.stack(store.x), torch.tensor([x for x, _ in naive]), atol=1e-6)
    first = [sum(store.sizes[:i]) for i in range(n_max)]  # of the rows that each one stands for
    assert store.times == [(times[i][0], times[i + n - 1][1]) for i, n in zip(first, store.sizes)]
    weights = [sum(math.exp(s) for s in scores[i : i + n]) for i, n in zip(first, store.sizes)]
    assert [math.exp(x) for x in store.logits] == approx(weights)


def test_documents_of_a_batch_merge_each_by_itself():
    x, score, mask = torch.randn(3, 6, 4), torch.zeros(3, 6), torch.ones(3, 6)
    mask[1, 2:], mask[2] = 0, 0
    found = kept(x, score, mask, 4)
    assert found.mask.tolist() == [[1] * 4, [1, 1, 0, 0], [0] * 4]
    assert torch.equal(found.x[1, :2], x[1, :2])
    assert found.log_size.exp().sum(1).tolist() == approx([6, 4, 4])  # 0 where there is no row
    assert torch.equal(found.x[:1], kept(x[:1], score[:1], mask[:1], 4).x)


def test_up_to_n_max_rows_nothing_changes():
    audio, text = document(6, 12), document(4, 8)
    found, expected = fusion(6)(audio, text), fusion(1000)(audio, text)
    assert all(torch.equal(a, b) for a, b in zip(vars(found).values(), vars(expected).values()))


def test_beyond_n_max_rows_each_modalitys_own_vector_stays_exact():
    audio, text = document(9, 12), document(7, 8)
    found, expected = fusion(4)(audio, text), fusion(1000)(audio, text)
    assert found.cross_audio.shape == found.cross_text.shape == (1, 4, 16)
    for name in ("audio_x", "audio_pooled", "audio", "text_x", "text_pooled", "text"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert not any(torch.allclose(getattr(found, name), getattr(expected, name)) for name in CROSSED)


def test_a_document_of_repeated_rows_merges_into_its_exact_vector():
    audio, text = document(5, 12), document(3, 8)
    audio, text = repeated(audio, torch.tensor([1, 2, 3, 4, 5])), repeated(text, torch.tensor([4, 1, 2]))
    exact = fusion(1000)(audio, text)
    for merging in (fusion(5)(audio, text), fusion(8)(audio, text)):
        assert all(torch.allclose(getattr(merging, name), getattr(exact, name), atol=1e-5) for name in CROSSED)


def test_a_merged_document_in_a_padded_batch_equals_the_document_alone():
    one, two = document(9, 12), document(3, 12)
    padding = Rows(torch.randn(1, 6, 12), torch.zeros(1, 6, dtype=torch.float64), torch.zeros(1, 6))
    two = Rows(*(torch.cat(x, 1) for x in zip(vars(two).values(), vars(padding).values())))
    both = Rows(*(torch.cat(x) for x in zip(vars(one).values(), vars(two).values())))
    text = document(7, 8)
    together = fusion(4)(both, Rows(*(x.repeat(2, *[1] * (x.dim() - 1)) for x in vars(text).values()))).document
    assert torch.allclose(together, torch.cat([fusion(4)(x, text).document for x in (one, two)]), atol=1e-5)


def test_nothing_merges_in_training():
    audio, text = document(9, 12), document(7, 8)
    found, expected = (f.train()(audio, text) for f in (fusion(4), fusion(1000)))
    assert found.cross_audio.shape == expected.cross_audio.shape


@fixture(params=["spoken-english", "consultations"])
def shipped(request):
    folder = MODELS / request.param
    return load(folder / "checkpoint")[0], load_file(folder / "golden.safetensors")


def test_the_golden_document_merges_as_its_file_says_and_no_merge_is_a_close_call(shipped):
    model, file = shipped
    for modality, count in golden.LONG.items():
        blend = golden.Blend(*(file[f"inputs/long/{modality}_{name}"] for name in ("picked", "share", "times")))
        with torch.inference_mode():
            store = golden.store_of(model, modality, blend, file[f"f32/typical/{modality}_rows"])
        assert store.lead > golden.LEAD / 2  # other machines round otherwise
        assert sum(store.sizes) == count
        stored = {name: file[f"f32/long/{modality}_{name}"] for name in ("sizes", "merged_times", "merged_x")}
        assert store.sizes == stored["sizes"].tolist()
        times = torch.tensor(store.times, dtype=torch.float64)
        assert torch.equal(times.nan_to_num(-1), stored["merged_times"].nan_to_num(-1))
        assert torch.allclose(torch.stack(store.x[::16]), stored["merged_x"], atol=1e-4)


def test_a_document_whose_merges_rounding_could_change_is_refused(monkeypatch):
    monkeypatch.setattr(golden, "DRAWS", 2)
    monkeypatch.setattr(golden, "LEAD", 2.0)
    task = TaskConfig("fluency", "binary", ["fluent", "at_risk"])
    model = Hilbert(
        HilbertConfig(
            SpeechConfig(n_mels=8, frames=40, width=6, heads=2, layers=1, ffn=8),
            TextConfig(vocabulary=30, positions=12, width=8, heads=2, layers=1, ffn=8),
            CONFIG,
            ExpertsConfig(2, 8),
            [task],
        )
    ).eval()
    typical = {"f32": {"audio_rows": torch.randn(4, 12), "text_rows": torch.randn(4, 8)}}
    with torch.inference_mode(), raises(SystemExit, match="rounding could change what merges"):
        golden.long_document({"f32": model}, {}, typical)
