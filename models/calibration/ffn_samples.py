"""Samples of every FFN on calibration data, taken in one pass: enough for every split, router and scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..anatomy import MLP, Anatomy, describe
from ..errors import ModelError
from ..evaluation import evaluation_mode
from .calls import batch_list, batch_mask, call_model
from .hooks import Documents, FFNSample, Picker, Recorder, first_input

__all__ = ["Calibration", "FFNSample", "Loss", "calibrate"]

# Shapes: B examples of a batch, L tokens of an example, T sampled tokens, D width, C classes, V vocabulary.

Loss = Callable[[Any, Any], Tensor]
"""`loss(output, batch)`: a scalar from what the model returned for a batch."""


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` saw.

    Attributes:
        samples: one for each FFN, in the order of `describe(model).blocks`; all hold the same T tokens.
        document: (T,) int64: the example that each token came from.
        embedding: (examples, width) float32: mean over the tokens of an example of what the last block gives.
    """

    samples: list[FFNSample]
    document: Tensor
    embedding: Tensor


def calibrate(
    model: nn.Module,
    batches: Iterable[object],
    *,
    gradients: bool = False,
    loss: Loss | None = None,
    max_tokens: int = 4096,
) -> Calibration:
    """Run batches and sample the inputs and activations of every FFN.

    The tokens are spread evenly over all batches, always the same ones; those that an `attention_mask` (B, L) hides are
    excluded. The model runs in eval mode and is left as it was; no parameter gets a gradient. Of a mixture of experts,
    stock or converted, the samples are its inputs and their routing.

    Args:
        model: a model whose anatomy is known.
        batches: run as `model(**batch)` for mappings, else `model(batch)`.
        gradients: add one backward pass for each batch, of the loss summed over its targets, and keep gradients of the
            activations.
        loss: `loss(output, batch)`, summed over targets. None: with `batch["labels"]` the model's own mean loss times
            the number of labels that are not -100 (classification logits (B, C) of a model that takes no labels: their
            cross-entropy); else, for logits (B, L, V), the cross-entropy of the next token.
        max_tokens: tokens that are kept at most.

    Returns:
        The samples of each FFN; they serve any number of conversions of this model.

    Raises:
        ModelError: there is no token or no loss, an FFN has no down projection, or a value is NaN or infinite.
    """
    batches = batch_list(batches)
    anatomy = describe(model)
    mlps = _mlps(anatomy)
    recorders = [Recorder(mlp) for mlp in mlps]
    trainable = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.requires_grad_(False)
    try:
        with evaluation_mode(model):
            rows = _spread(_count(model, mlps[0].site.get(), batches), max_tokens)
            return _sample(anatomy, batches, rows, recorders, _gradient_of(loss) if gradients else None)
    finally:
        for parameter, required in trainable.items():
            parameter.requires_grad_(required)
        for recorder in recorders:
            recorder.remove()


Gradient = Callable[[Any, Any, Sequence[Tensor]], Sequence[Tensor]]


def _mlps(anatomy: Anatomy) -> list[MLP]:
    mlps = [block.mlp for block in anatomy.blocks if block.mlp is not None]
    name = type(anatomy.model).__name__
    if not mlps:
        raise ModelError(f"{name} has no feed-forward layer to calibrate")
    config = getattr(anatomy.model, "config", None)
    if getattr(config, "is_encoder_decoder", False) and hasattr(anatomy.model.base_model, "decoder"):
        raise ModelError(
            f"{name} has an encoder and a decoder, whose layers see different tokens: calibrate the encoder alone (as "
            "T5EncoderModel), or use settings that need no calibration data, such as split='random'"
        )
    for mlp in mlps:
        mixture = mlp.experts is not None and mlp.experts.module is not None
        if mlp.kind not in ("gated", "plain") and not mixture:
            raise ModelError(
                f"{mlp.site.path} is of kind {mlp.kind!r}: only gated and plain FFNs, and mixtures whose experts are "
                "called with (x, index, weight), can be calibrated"
            )
    return mlps


def _sample(
    anatomy: Anatomy, batches: list[Any], rows: list[Tensor], recorders: list[Recorder], gradient: Gradient | None
) -> Calibration:
    documents = Documents()
    total = sum(len(kept) for kept in rows)
    for recorder in recorders:
        recorder.gradients = gradient is not None
    for batch, kept in zip(batches, rows, strict=True):
        picker = Picker(batch_mask(batch), kept)
        final, found = _run(anatomy, batch, recorders, gradient)
        _check_tokens(anatomy, recorders)
        for recorder, dh in zip(recorders, found, strict=True):
            recorder.take(picker, dh, total)
        documents.add(picker, final)
    samples = [recorder.sample for recorder in recorders if recorder.sample is not None]
    calibration = Calibration(samples, torch.cat(documents.token), torch.cat(documents.embedding))
    _check(calibration)
    return calibration


def _run(
    anatomy: Anatomy, batch: object, recorders: list[Recorder], gradient: Gradient | None
) -> tuple[Tensor, Sequence[Tensor | None]]:
    """Output of the last block, and the gradient of each FFN's hidden activation; the graph does not outlive this."""
    final: list[Any] = []

    def keep(module: nn.Module, args: object, output: object) -> None:
        final.append(output)

    hook = anatomy.blocks[-1].site.get().register_forward_hook(keep)
    try:
        with torch.set_grad_enabled(gradient is not None):
            output = call_model(anatomy.model, batch)
            hidden = [recorder.hidden for recorder in recorders if recorder.hidden is not None]
            found: Sequence[Tensor | None] = [None] * len(hidden)
            if gradient is not None:
                found = gradient(output, batch, hidden)
    finally:
        hook.remove()
    last = final[-1]
    if not isinstance(last, Tensor):  # blocks of transformers may return a tuple that starts with the hidden state
        last = last[0]
    return last.detach(), found


def _check_tokens(anatomy: Anatomy, recorders: list[Recorder]) -> None:
    """Rows are drawn from the tokens of the first layer. Where stages halve an image, later layers do not have them.

    The decoder of GraphsGPT sees a few tokens more than its encoder: the rows of its samples are tokens of its own.
    """
    counts = [recorder.input.shape[:-1].numel() for recorder in recorders if recorder.input is not None]
    if min(counts) < counts[0]:
        name = type(anatomy.model).__name__
        raise ModelError(
            f"the feed-forward layers of {name} see {min(counts)} to {max(counts)} tokens of one batch, "
            "so that their samples cannot be of the same tokens: use settings that need no calibration data, "
            "such as split='random'"
        )


@torch.no_grad()
def _count(model: nn.Module, first: nn.Module, batches: Sequence[object]) -> list[int]:
    """Unmasked tokens of each batch, from the input of the first FFN."""
    counts = []
    for batch in batches:
        x = first_input(model, first, partial(call_model, model, batch))
        counts.append(int(Picker(batch_mask(batch)).visible(x).sum()))
    return counts


def _spread(counts: Sequence[int], most: int) -> list[Tensor]:
    """Rows to keep of each batch: `most` of all rows, evenly spaced over the batches end to end."""
    total = sum(counts)
    if total == 0:
        raise ModelError("the calibration data hold no token: pass at least one batch with an unmasked token")
    if most < 1:
        raise ModelError(f"max_tokens={most} must be 1 or more")
    number = min(total, most)
    kept = torch.arange(number) * total // number
    rows = []
    start = 0
    for count in counts:
        inside = (kept >= start) & (kept < start + count)
        rows.append(kept[inside] - start)
        start += count
    return rows


def _gradient_of(loss: Loss | None) -> Gradient:
    def gradient(output: object, batch: object, hidden: Sequence[Tensor]) -> Sequence[Tensor]:
        value = (loss or _loss)(output, batch)
        if not value.requires_grad:
            raise ModelError(
                "the loss does not depend on any dense feed-forward layer: compute it from the model's output"
            )
        return torch.autograd.grad(value, hidden, allow_unused=True, materialize_grads=True)

    return gradient


def _loss(output: object, batch: object) -> Tensor:
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if labels is not None:
        mean = getattr(output, "loss", None)
        if mean is not None:
            # The sum over labels: batches of different sizes weigh each of their tokens alike.
            return mean * (labels != -100).sum()
        if logits is not None and logits.ndim == 2:
            return F.cross_entropy(_precise(logits), labels, reduction="sum")
    ids = _token_ids(batch)
    if labels is None and ids is not None and logits is not None and logits.ndim == 3:
        mask = batch_mask(batch)
        targets = ids if mask is None else ids.masked_fill(~mask.bool(), -100)
        return F.cross_entropy(_precise(logits[:, :-1]).transpose(1, 2), targets[:, 1:], reduction="sum")
    raise ModelError(
        "gradients=True needs a loss: pass batches with labels, token batches to a language model, "
        "or loss=lambda output, batch: ..."
    )


def _token_ids(batch: object) -> Tensor | None:
    ids = batch.get("input_ids") if isinstance(batch, Mapping) else batch
    if isinstance(ids, Tensor) and not ids.is_floating_point():
        return ids
    return None


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _check(calibration: Calibration) -> None:
    for index, sample in enumerate(calibration.samples):
        for name, value in (("inputs", sample.x), ("activations", sample.h), ("gradients", sample.dh)):
            if value is not None and not value.isfinite().all():
                raise ModelError(f"feed-forward layer {index}: {name} on the calibration data are NaN or infinite")
    if not calibration.embedding.isfinite().all():
        raise ModelError("the output of the last block on the calibration data is NaN or infinite")
