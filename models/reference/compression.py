"""Starts a smaller speech encoder from a larger one without training: neurons are pruned and what reads them is refit.

Layer by layer, on the smaller model's own inputs, each linear map that writes to the residual stream is solved for by
least squares so that the stream follows the teacher's (He et al. 2017, arXiv 1707.06168, section 3.1, reconstruction
after pruning). Neurons go in order of the least increase of that error (Hassibi and Stork 1993, the optimal brain
surgeon, with the remaining weights refit).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hilbert import SpeechConfig, SpeechEncoder, additive, halved

RIDGE = 1e-3  # of the mean square of the inputs
KEPT_PER_ROUND = 0.75  # neurons that stay in one round of pruning, until the number wanted is reached


class LeastSquares:
    """y = W x + b for rows x [N, in] and y [N, out], with a weak ridge."""

    def __init__(self, x: Tensor, y: Tensor):
        self.x_mean, self.y_mean = x.mean(0), y.mean(0)
        x, y = x - self.x_mean, y - self.y_mean
        self.gram = (x.T @ x).double()  # solved in double; its sums in float err by less than the ridge
        self.gram.diagonal().add_(RIDGE * self.gram.diagonal().mean())
        self.product = (x.T @ y).double()

    def solve(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Over the inputs at the indices `chosen` -> W [out, chosen], b [out]"""
        weight = torch.linalg.solve(self.gram[chosen][:, chosen], self.product[chosen]).T.float()
        return weight, self.y_mean - weight @ self.x_mean[chosen]

    def cost(self, chosen: Tensor) -> Tensor:
        """How much the squared error grows when one input is left out and the others are refit. -> [chosen]"""
        weight, _ = self.solve(chosen)
        return weight.double().square().sum(0) / torch.linalg.inv(self.gram[chosen][:, chosen]).diagonal()

    def best(self, count: int) -> Tensor:
        """The indices, ascending, of `count` inputs kept by backward elimination."""
        chosen = torch.arange(len(self.gram))
        while len(chosen) > count:
            kept = max(count, round(KEPT_PER_ROUND * len(chosen)))
            chosen = chosen[self.cost(chosen).topk(kept).indices.sort().values]
        return chosen


def write(linear: nn.Linear, weight: Tensor, bias: Tensor):
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)


@torch.no_grad()
def compress(teacher: SpeechEncoder, config: SpeechConfig, batches: list[tuple[Tensor, Tensor]]) -> SpeechEncoder:
    """`batches` of log-mel [B, M, T] and mask [B, T] -> an encoder of the teacher's width with its first layers.

    Both attend to real frames alone. After `config.halve_after` layers the teacher's frames are averaged in pairs to
    be what the smaller model's should be.
    """
    student = SpeechEncoder(config).eval()
    source = teacher.state_dict()
    taken = {k: v for k, v in source.items() if k.split(".")[0] in ("conv1", "conv2", "norm")}
    student.load_state_dict(taken, strict=False)
    theirs = [teacher.embed(mel) for mel, _ in batches]
    ours, masks = theirs, [mask[:, ::2] for _, mask in batches]
    their_masks, is_halved = masks, False

    def real(frames: list[Tensor]) -> Tensor:
        return torch.cat([x[m > 0] for x, m in zip(frames, masks)])

    def wanted(frames: list[Tensor]) -> Tensor:
        return real([halved(x) for x in frames] if is_halved else frames)

    for i, (large, small) in enumerate(zip(teacher.layers, student.layers)):
        if i and i == config.halve_after:
            ours, masks, is_halved = [halved(x) for x in ours], [m[:, ::2] for m in masks], True
        kept = {k: v for k, v in large.state_dict().items() if not k.startswith(("expand", "contract"))}
        small.load_state_dict(kept, strict=False)
        theirs = [x + large.attention(large.attention_norm(x), additive(m)) for x, m in zip(theirs, their_masks)]
        mixed = [small.attention.mix(small.attention_norm(x), additive(m)) for x, m in zip(ours, masks)]
        everything = torch.arange(config.width)
        write(small.attention.output, *LeastSquares(real(mixed), wanted(theirs) - real(ours)).solve(everything))
        ours = [x + small.attention.output(y) for x, y in zip(ours, mixed)]
        theirs = [x + large.feed_forward(large.ffn_norm(x)) for x in theirs]
        neurons = real([functional.gelu(large.expand(large.ffn_norm(x))) for x in ours])
        fit = LeastSquares(neurons, wanted(theirs) - real(ours))
        chosen = fit.best(config.ffn)
        write(small.expand, large.expand.weight[chosen], large.expand.bias[chosen])
        write(small.contract, *fit.solve(chosen))
        ours = [x + small.feed_forward(small.ffn_norm(x)) for x in ours]
    return student
