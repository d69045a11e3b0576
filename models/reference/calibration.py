"""From logits and scores to probabilities, one calibration for each set of modalities present."""

import torch
from torch import Tensor

from hilbert import TaskConfig

MODALITIES = ("audio", "text", "audio_text")


def probabilities(task: TaskConfig, output: Tensor, calibration: dict) -> Tensor:
    """[B, C] logits or [B, 1] score -> [B, labels].

    ordinal: P(class > k) = sigmoid(slope (score - cut_k)); binary, multi_class: softmax(logits / T);
    multi_label: sigmoid(logit / T).
    """
    if task.kind == "ordinal":
        cuts = torch.as_tensor(calibration["cuts"], dtype=output.dtype, device=output.device)
        above = torch.sigmoid(calibration["slope"] * (output - cuts))  # [B, labels - 1]
        ones = torch.ones_like(output)  # [B, 1]
        return torch.cat([ones, above], 1) - torch.cat([above, 0 * ones], 1)
    if task.kind == "multi_label":
        return torch.sigmoid(output / calibration["temperature"])
    return (output / calibration["temperature"]).softmax(1)
