"""How far two sets of logits are from each other, in float32 at least."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError

# Shapes: N examples (or tokens), C classes (or a vocabulary, or regressed columns).


def squared_distance(first_NC: Tensor, second_NC: Tensor, *, over_classes: bool = True) -> Tensor:
    """(a - b)², averaged over examples and over classes; not `over_classes`: summed over these."""
    distance = F.mse_loss(first_NC, second_NC)
    if over_classes:
        return distance
    return distance * first_NC.shape[-1]


def divergence(
    target_NC: Tensor, other_NC: Tensor, temperature: float, *, t2: bool = False, over_classes: bool = False
) -> Tensor:
    """KL(softmax(target / T) || softmax(other / T)), summed over classes, averaged over examples.

    `t2` multiplies by T², so that gradients are as large at any temperature (Hinton et al., arXiv 1503.02531, section
    2); `over_classes` averages over classes, too. Both sides get a gradient. By log-softmax: finite for finite logits.
    """
    target = F.log_softmax(target_NC / temperature, dim=-1)
    other = F.log_softmax(other_NC / temperature, dim=-1)
    result = F.kl_div(other, target, reduction="batchmean", log_target=True)
    if t2:
        result = result * temperature**2
    if over_classes:
        result = result / target_NC.shape[-1]
    return result


def aligned(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (..., C) of both as (N, C) in float32 at least.

    Raises `ModelError` for other shapes: other classes, or another vocabulary.
    """
    if student.shape != teacher.shape:
        raise ModelError(
            f"the student puts out {tuple(student.shape)} and the teacher {tuple(teacher.shape)}: distillation needs "
            "the same examples with the same classes (or vocabulary) in the same order"
        )
    if student.ndim < 2 or not student.numel():
        raise ModelError(f"logits of shape {tuple(student.shape)} have no examples and classes: give (..., C)")
    return _rows(student), _rows(teacher)


def _rows(logits: Tensor) -> Tensor:
    precise = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(precise).flatten(0, -2)
