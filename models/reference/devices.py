"""The device, arithmetic that repeats to the bit, and several processes as `torchrun` starts them.

Every process runs the whole program on a device of its own. Only batches are shared out, so that what is trained does
not depend on how many there are, up to rounding; what all must agree on is process 0's, and it alone writes what the
others read.
"""

import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def start() -> str:
    """-> `cuda` or `cpu`, after joining the other processes, if there are any. No TF32, deterministic algorithms."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may differ from run to run
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a check, and not for free
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    cuda = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if cuda else "gloo")
    return "cuda" if cuda else "cpu"


def name(device: str) -> str:
    """For people: the GPU's name, or `cpu`."""
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


PRECISIONS = ("float32", "bfloat16")
CHOSEN = "HILBERT_PRECISION"  # in the environment, so that processes that are started have it too


def precision(device: str) -> str:
    """Of the activations in distillation: float32 on a GPU, bfloat16 on a CPU, if nothing else was chosen."""
    return os.environ.get(CHOSEN, "float32" if device == "cuda" else "bfloat16")


def activations(device: str) -> torch.autocast:
    """The context in which they have it."""
    return torch.autocast(device, torch.bfloat16, enabled=precision(device) == "bfloat16")


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def wait():
    """For all processes to come here."""
    if count() > 1:
        dist.barrier()


def agreed(value):
    """What process 0 says."""
    if count() == 1:
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]


def shares(batch: list) -> list[list]:
    """A part for each process: every n-th."""
    return [batch[r :: count()] for r in range(count())]


def gathered(vectors: list[Tensor], sizes: list[int]) -> list[Tensor]:
    """Each [sizes[rank], ...] with the parts of all processes, in their order, [sum of sizes, ...], with gradients.

    Every process sends back the gradient of its own loss, and they add up: where all have the same loss, the mean of
    `averaged` makes it that of one.
    """
    if count() == 1:
        return vectors
    flat = torch.cat([v.flatten(1) if v.dim() > 1 else v[:, None] for v in vectors], 1)  # one exchange for all
    widths = [v[0].numel() for v in vectors]
    padded = torch.cat([flat, flat.new_zeros(max(sizes) - len(flat), flat.shape[1])])
    every = torch.cat([part[:n] for part, n in zip(Gather.apply(padded), sizes)])
    return [x.reshape(-1, *v.shape[1:]) for x, v in zip(every.split(widths, 1), vectors)]


class Gather(torch.autograd.Function):
    """[N, D] of each process -> [processes, N, D]; back goes the sum of what all processes make of it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(count())]
        dist.all_gather(parts, x.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[rank()]


class Step(nn.Module):
    """A loss as a module, which DistributedDataParallel asks for."""

    def __init__(self, model: nn.Module, loss_of: Callable):
        super().__init__()
        self.model, self.loss_of = model, loss_of

    def forward(self, *batch):
        return self.loss_of(*batch)


def averaged(model: nn.Module, loss_of: Callable, some_unused: bool = False) -> Callable:
    """`loss_of`, whose gradients become the mean over processes; `some_unused`: of the model's parameters."""
    if count() == 1:
        return loss_of
    return DistributedDataParallel(Step(model, loss_of), find_unused_parameters=some_unused)
