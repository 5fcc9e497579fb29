"""Packed rows through a causal LM so that no example sees another: mask, positions, loss, and the proof of it.

Decoders of transformers take a ready mask (B, 1, L, L) as it is; from it, and not from positions, every layer here that
counts tokens knows padding (`models/calibration/token_mask.py`), and attention experts know the examples. Positions
alone would do for the attention of transformers (it finds packed sequences where positions restart), but only without
any mask, and then padding counts as text in routers, balance losses and capacities.

A mixture with a capacity lets the tokens of a batch compete for places, those of other examples too, packed or not.
"""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sparsebench.models.evaluation import evaluation_mode

from .packing import IGNORED, PADDING

# Shapes: B rows, L tokens of a row, N tokens whose prediction counts, V vocabulary.

BOOLEAN, ADDITIVE = "sdpa", "eager"
"""Implementations of attention that take a ready mask: a boolean one, or one that is added to the scores."""


class CannotPack(ValueError):  # noqa: N818 -- reads as what it says
    """A model through which packed examples would see each other."""


def token_mask(batch: Mapping[str, Any]) -> Tensor:
    """Which tokens are real, bool (B, L); all of them where the rows are not packed."""
    if "sequence_ids" not in batch:
        return torch.ones_like(batch["input_ids"], dtype=torch.bool)
    return batch["sequence_ids"] != PADDING


def packed_mask(sequence_ids: Tensor) -> Tensor:
    """Who sees whom, bool (B, 1, L, L): a token sees those before it in its own example, and itself.

    Padding sees the first real token of its row, so that no softmax is over nothing, and not itself, by which routers
    know it. Nothing sees padding.
    """
    real_BL = sequence_ids != PADDING
    same_BLL = sequence_ids[:, :, None] == sequence_ids[:, None, :]
    seen_BLL = (same_BLL & real_BL[:, :, None]).tril()
    first_BL = torch.zeros_like(real_BL)
    first_BL.scatter_(1, real_BL.int().argmax(1, keepdim=True), True)
    looks_BLL = ~real_BL[:, :, None] & first_BL[:, None, :]
    return (seen_BLL | looks_BLL)[:, None]


def model_inputs(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Any]:
    """What the model is called with for a batch. Raises `CannotPack` where packed rows would not stay apart."""
    inputs: dict[str, Any] = {"input_ids": batch["input_ids"], "use_cache": False}
    if "sequence_ids" not in batch:
        return inputs
    kind = _takes_mask(model, batch["input_ids"].shape[1])
    mask = packed_mask(batch["sequence_ids"])
    if kind == ADDITIVE:
        dtype = _computes_in(model, mask.device)
        hidden = ~mask
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        mask = mask.masked_fill(hidden, torch.finfo(dtype).min)
    inputs |= {"attention_mask": mask, "position_ids": batch["position_ids"]}
    if getattr(getattr(model, "config", None), "output_router_logits", False):
        inputs["output_router_logits"] = False  # for a balance loss that transformers cannot take with a ready mask
    return inputs


class Predictions(NamedTuple):
    """What a model says of the tokens with a label: `logits` (N, V), those `targets` (N,), and which of the batch they
    are, bool (B, L)."""

    logits: Tensor
    targets: Tensor
    where: Tensor


def predict(model: nn.Module, batch: Mapping[str, Any]) -> Predictions:
    """Logits of the tokens with a label, row by row; no other place is projected on the vocabulary."""
    where_BL = batch["labels"] != IGNORED
    where_BL[:, 0] = False  # nothing stands before it
    predicting_BL = where_BL.roll(-1, dims=1)
    logits_NV = _logits_at(predicting_BL, model, model_inputs(model, batch))
    return Predictions(logits_NV, batch["labels"][where_BL], where_BL)


def _keeps_by_mask() -> bool:
    """Whether models take a mask of the places to project: since transformers 5.21."""
    from transformers import modeling_utils

    return hasattr(modeling_utils, "slice_logits_to_keep")


def _logits_at(places_BL: Tensor, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """Logits (N, V) of the N places that are True."""
    if _keeps_by_mask():
        return model(**inputs, logits_to_keep=places_BL).logits
    # All rows keep the same columns: those that any row wants.
    columns = places_BL.any(dim=0).nonzero().flatten()
    return model(**inputs, logits_to_keep=columns).logits[places_BL[:, columns]]


def language_loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Mean cross-entropy, in nats, of the tokens with a label given those before them in their example.

    Raises FloatingPointError with the groups whose loss is NaN or infinite, and `CannotPack`.
    """
    predicted = predict(model, batch)
    nats = token_nats(predicted)
    loss = nats.mean()
    if not loss.isfinite():
        _name_groups(nats, predicted.where, batch)
    return loss


def token_nats(predicted: Predictions) -> Tensor:
    """Negative log-likelihood of each token with a label (N,), in nats, in float32 or better."""
    logits = predicted.logits
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return nn.functional.cross_entropy(precise, predicted.targets, reduction="none")


def check_isolation(model: nn.Module) -> None:
    """Raise `CannotPack` unless the model keeps packed examples apart, which is tried on a few tokens.

    Two examples and padding share a row. The loss of the second must have a gradient of exactly 0 by what enters for
    the first and for padding; rounding cannot hide a path, nor make one up.
    """
    _takes_mask(model, 1)
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    device = embedding.weight.device
    sequence_ids = torch.tensor([[0, 0, 0, 1, 1, 1, PADDING]], device=device)
    input_ids = torch.arange(7, device=device)[None] % embedding.num_embeddings
    batch = {
        "input_ids": input_ids,
        "sequence_ids": sequence_ids,
        "position_ids": torch.tensor([[0, 1, 2, 0, 1, 2, 0]], device=device),
    }
    inputs = model_inputs(model, batch)
    del inputs["input_ids"]
    with evaluation_mode(model), torch.enable_grad():
        entering = embedding(input_ids).detach().requires_grad_()
        logits = model(**inputs, inputs_embeds=entering).logits
        second = logits[0, 3:6].float().logsumexp(-1).sum()
        (gradient,) = torch.autograd.grad(second, entering)
    reaches_L = gradient[0].abs().amax(-1) > 0
    if reaches_L[:3].any() or reaches_L[6]:
        raise CannotPack(
            f"packed examples see each other in {type(model).__name__}: not all of its layers heed an attention mask "
            "(convolutions and recurrent layers do not)"
        )


def _takes_mask(model: nn.Module, length: int) -> str:
    """How the model's attention takes a ready mask. Raises `CannotPack` with the reason where it does not."""
    name = type(model).__name__
    config = getattr(model, "config", None)
    kind = getattr(config, "_attn_implementation", None)
    if kind not in (BOOLEAN, ADDITIVE):
        raise CannotPack(
            f"attn_implementation {kind!r} of {name} takes no mask between examples: load it with "
            f"attn_implementation={BOOLEAN!r} or {ADDITIVE!r}"
        )
    if "position_ids" not in inspect.signature(type(model).forward).parameters:
        raise CannotPack(f"{name} takes no position_ids, so positions cannot start again in each packed example")
    for limit in ("sliding_window", "attention_chunk_size"):
        window = getattr(config, limit, None)
        if window and window < length:  # 0: Qwen says so where no layer has a window
            raise CannotPack(f"{name} has {limit} {window}, which a mask of packed rows of {length} tokens would undo")
    return kind


def _computes_in(model: nn.Module, device: torch.device) -> torch.dtype:
    """The type of the attention scores that an additive mask is added to."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())


def _name_groups(nats: Tensor, where_BL: Tensor, batch: Mapping[str, Any]) -> None:
    """Raise FloatingPointError that names the groups of the rows with a loss that is not finite."""
    rows = where_BL.nonzero()[:, 0][~nats.isfinite()].unique().tolist()
    groups = sorted({batch["groups"][row] for row in rows}) if "groups" in batch else []
    if groups:
        raise FloatingPointError(
            f"the loss of {', '.join(map(repr, groups))} is NaN or infinite: lower the learning rate, or look at the "
            "text of that group"
        )
