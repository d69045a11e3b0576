"""Each objective on numbers worked out by hand."""

import math

import pytest
import torch

import losses


def test_contrastive_of_orthogonal_pairs_is_the_softmax_of_one_against_zero():
    a = torch.eye(3)
    expected = -math.log(math.e / (math.e + 2))
    assert losses.contrastive(a, a, 1.0).item() == pytest.approx(expected, abs=1e-6)


def test_contrastive_ignores_length_and_is_symmetric():
    a, b = torch.randn(5, 4), torch.randn(5, 4)
    one = losses.contrastive(a, b, 0.07)
    assert losses.contrastive(3 * b, 7 * a, 0.07).item() == pytest.approx(one.item(), rel=1e-5)


def test_contrastive_does_not_count_documents_of_one_person_as_negatives():
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    # rows 0 and 1 see themselves and the third: e / (e + 1); row 2 sees itself and two others: e / (e + 2)
    expected = -(2 * math.log(math.e / (math.e + 1)) + math.log(math.e / (math.e + 2))) / 3
    assert losses.contrastive(a, a, 1.0, same).item() == pytest.approx(expected, abs=1e-6)


def test_biased_hsic_of_two_centred_points():
    # K = L = [[1, -1], [-1, 1]] is centred already: tr(K K) / 1 = 4
    k = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert losses.biased_hsic(k, k).item() == pytest.approx(4.0)


def test_unbiased_hsic_of_a_hand_made_pair_of_gram_matrices():
    # zero diagonals; K has ones at (0, 1), (1, 0), L at (2, 3), (3, 2): trace 0, sums 2 * 2 / (3 * 2), cross 0
    k, l = torch.zeros(4, 4), torch.zeros(4, 4)
    k[0, 1] = k[1, 0] = l[2, 3] = l[3, 2] = 1
    assert losses.hsic(k, l).item() == pytest.approx((4 / 6) / 4)


def test_unbiased_hsic_refuses_three_documents():
    with pytest.raises(ValueError, match="needs 4 documents, found 3"):
        losses.hsic(torch.eye(3), torch.eye(3))


def test_cka_is_one_for_a_rotated_and_scaled_copy_of_another_width():
    torch.manual_seed(0)
    x = torch.randn(16, 5)
    rotation, _ = torch.linalg.qr(torch.randn(8, 8))
    y = 3 * x @ rotation[:5]
    for biased in (False, True):
        assert losses.cka(x, y, biased).item() == pytest.approx(1.0, abs=1e-4)


def test_debiased_cka_of_independent_features_is_near_zero_where_the_biased_one_is_not():
    torch.manual_seed(0)
    draws = [(torch.randn(16, 256), torch.randn(16, 256)) for _ in range(50)]
    debiased = torch.stack([losses.cka(x, y) for x, y in draws]).mean().item()
    biased = torch.stack([losses.cka(x, y, True) for x, y in draws]).mean().item()
    assert abs(debiased) < 0.05
    assert biased > 0.9


def test_biased_cka_is_the_feature_form_of_kornblith():
    torch.manual_seed(0)
    x, y = torch.randn(12, 4), torch.randn(12, 6)
    a, b = x - x.mean(0), y - y.mean(0)
    expected = (a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert losses.cka(x, y, True).item() == pytest.approx(expected.item(), rel=1e-4)


def test_balance_is_the_squared_gap_over_log_b():
    value = losses.balance(torch.tensor(1.0), torch.tensor(0.5), 8)
    assert value.item() == pytest.approx((0.5 / math.log(8)) ** 2)


def test_balance_sees_a_joint_vector_made_of_one_modality():
    torch.manual_seed(0)
    audio, text = torch.randn(32, 64), torch.randn(32, 64)

    def gap(joint):
        pair = [losses.contrastive(x, joint, 0.3) for x in (audio, text)]
        return losses.balance(*pair, 32).item()

    assert gap(audio + 0.1 * text) > 20 * gap(audio + text)


def test_router_loss_is_smallest_for_even_gates():
    logits = torch.zeros(4, 1, 2)
    even = losses.router(logits.softmax(2), logits).item()
    assert even == pytest.approx(-math.log(2) + math.log(2) ** 2, abs=1e-6)
    one_sided = torch.tensor([5.0, -5.0]).expand(4, 1, 2)
    assert losses.router(one_sided.softmax(2), one_sided).item() > even


def test_ordinal_loss_is_the_mean_square_in_units_of_the_deviation():
    assert losses.ordinal(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), 2.0).item() == pytest.approx(1.25)


def test_losses_reach_all_three_vectors():
    vectors = [torch.randn(8, 6, requires_grad=True) for _ in range(3)]
    audio, text, joint = vectors
    total = losses.contrastive(audio, joint, 0.07) + losses.contrastive(text, joint, 0.07)
    (total + losses.structure(audio, text, joint)).backward()
    assert all(v.grad.abs().sum() > 0 for v in vectors)


def test_class_weights_are_the_root_of_the_inverse_frequency_and_bounded():
    assert losses.class_weights(torch.tensor([10, 10])).tolist() == [1, 1]
    found = losses.class_weights(torch.tensor([80, 20, 0]))
    assert found.tolist() == pytest.approx([(1 / 2.4) ** 0.5, (1 / 0.6) ** 0.5, (1 / 0.15) ** 0.5])


def test_adjusted_logits_carry_the_classes_shares():
    # with equal logits the adjusted softmax is the prior, a class that never occurred counting as one document
    p = losses.adjusted(torch.zeros(1, 3), torch.tensor([6, 3, 0])).softmax(1)
    assert p[0].tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_classification_meets_imbalance_as_it_is_told():
    logits, target, counts = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]), torch.tensor([3, 1])

    def loss(imbalance):
        return losses.classification(logits, target, counts, imbalance).item()

    assert loss("none") == loss("weights") == pytest.approx(math.log(2))
    assert loss("adjustment") == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])  # P(true) is 1/2 and 3/4
    weight = [(0.5 / 0.75) ** 0.5, (0.5 / 0.25) ** 0.5]
    expected = (weight[0] * math.log(2) + weight[1] * math.log(4 / 3)) / sum(weight)
    assert loss("weights") == pytest.approx(expected)


def test_multi_label_loss_is_the_binary_cross_entropy_of_each_label():
    logits, target = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[1, 0], [0, 1]])
    counts = torch.tensor([[1, 1], [3, 1]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target.float()).item()
    assert losses.multi_label(logits, target, counts, "none").item() == pytest.approx(expected)
    # a label that one document in four has: its logit is shifted by log(1/3)
    shifted = logits + torch.tensor([0.0, -math.log(3)])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(shifted, target.float()).item()
    assert losses.multi_label(logits, target, counts, "adjustment").item() == pytest.approx(expected)
