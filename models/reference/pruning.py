"""Which feed-forward neurons a student takes over from its teacher."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from hilbert import Layer


def strongest_neurons(layers: Iterable[Layer], run: Callable[[], object], count: int) -> list[Tensor]:
    """For each layer the `count` neurons, ascending, whose mean output while `run` passes examples through is largest.

    A neuron's output is its mean activation times the length of its column in the contraction.
    """
    layers = list(layers)
    importance = [torch.zeros(0)] * len(layers)

    def record(i):
        def hook(module, inputs, output):
            activation = functional.gelu(output).abs().mean((0, 1))  # [ffn]
            importance[i] = activation * layers[i].contract.weight.norm(dim=0)

        return hook

    hooks = [layer.expand.register_forward_hook(record(i)) for i, layer in enumerate(layers)]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    return [values.topk(count).indices.sort().values for values in importance]
