"""Calibration of a method that converts a backbone: samples of every FFN, shared by the cells of one process."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from sparsebench.data.cache import cache_root
from sparsebench.models.calibration.digests import content_digest, model_digest
from sparsebench.models.calibration.ffn_samples import Calibration, calibrate
from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.calibration.statistics_cache import cached_statistics

from ...contracts.context import Context

_calibrations: dict[str, Calibration] = {}
"""The last calibration of this process, by the hash of weights and data: cells of one row and seed share it. Just one,
since one of a language model takes up to 1 GB."""


def split_seed(context: Context) -> int:
    """The seed of the conversion: that of the cell, the same for every method."""
    return int(torch.randint(2**31 - 1, (), generator=context.generator("neuron-split")))


def calibration(model: nn.Module, context: Context, *, gradients: bool) -> Calibration:
    """Samples of every FFN on the calibration data; taken once per process for equal weights and data.

    Gradients are those of the next token's loss for a language model, else of the task's own loss.
    """
    batches = list(context.batches())
    key = f"{fingerprint(model, batches)} {gradients}"
    if key not in _calibrations:
        _calibrations.clear()
        _calibrations[key] = _calibrate(model, batches, context, gradients)
    return _calibrations[key]


def expert_statistics(model: nn.Module, context: Context, *, all_outputs: bool = False) -> Sequence[LayerStatistics]:
    """What each expert does on the calibration data; taken once for equal weights and data, and kept in the cache.

    So rows that keep more or fewer experts of one model share them, also in other processes and later runs.
    """
    return cached_statistics(model, context.calibration(), cache_root() / "statistics", all_outputs=all_outputs)


def fingerprint(model: nn.Module, batches: list[Any]) -> str:
    """Digest of a model and of data."""
    return f"{model_digest(model)} {content_digest(batches)}"


def _calibrate(model: nn.Module, batches: list[Any], context: Context, gradients: bool) -> Calibration:
    inputs = [context.inputs(batch) for batch in batches]
    if not gradients or context.target.kind == "next-token":
        return calibrate(model, inputs, gradients=gradients)
    # The loss is called with what the model was called with, but a task's loss takes the whole batch, targets included.
    batch_of = {id(part): batch for part, batch in zip(inputs, batches, strict=True)}

    def summed_loss(output: Any, part: Any) -> Tensor:
        """The task's mean loss on outputs that are there already, times the number of examples."""

        def computed(*_: Any, **__: Any) -> Any:
            return output

        examples = len(output) if isinstance(output, Tensor) else len(part)
        return context.loss(cast(nn.Module, computed), batch_of[id(part)]) * examples

    return calibrate(model, inputs, gradients=True, loss=summed_loss)
