"""Statistics of experts on disk: a model is looked at once, and its experts are dropped at many budgets."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .calls import batch_list
from .digests import code_digest, content_digest, model_digest
from .mixture_statistics import LayerStatistics, mixture_statistics

FORMAT = 1
LIMIT = 2**30
"""Bytes of a folder of statistics: where there are more, those go that were not used for longest."""


def cached_statistics(
    model: nn.Module,
    batches: Iterable[object],
    folder: str | Path,
    *,
    moments: bool = False,
    all_outputs: bool = False,
    limit: int = LIMIT,
) -> Sequence[LayerStatistics]:
    """`mixture_statistics`, read from a file where they were taken before; else taken, and written there.

    The file is named by a digest of weights, buffers and settings of the model, of the batches, of what is asked for,
    and of the code and libraries that computed it. It appears whole or not at all, and float64 stays float64.

    Args:
        model: a model with mixtures of experts.
        batches: as in `mixture_statistics`.
        folder: where the files lie; one that cannot be written is a warning: then nothing is kept.
        moments: as in `mixture_statistics`.
        all_outputs: as in `mixture_statistics`.
        limit: bytes of the folder; the files that were not used for the longest time go first.

    Returns:
        The sums of each mixture, in order.

    Raises:
        ModelError: a damaged file, batches or models without a digest, and where `mixture_statistics` raises it.

    Example::

        statistics = cached_statistics(mixtral, batches, "statistics")
        expert_drop(mixtral, statistics, 0.5)
    """
    batches = batch_list(batches)
    # What was computed by other code must not be read, whatever a later version does differently.
    computed_by = [FORMAT, code_digest(), torch.__version__, version("transformers")]
    key = content_digest([computed_by, model_digest(model), content_digest(batches), moments, all_outputs])
    file = Path(folder) / f"{key}.safetensors"
    if file.is_file():
        with contextlib.suppress(OSError):
            os.utime(file)  # was used: others go first
        return read_statistics(file)
    found = mixture_statistics(model, batches, moments=moments, all_outputs=all_outputs)
    try:
        write_statistics(file, found)
        _make_room(file, limit)
    except OSError as error:
        warnings.warn(f"the statistics of experts were not kept: {error}", stacklevel=2)
    return found


def write_statistics(file: Path, statistics: Sequence[LayerStatistics]) -> None:
    """Write statistics to a file, which appears whole or not at all. Raises OSError where that cannot be."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    layers: list[dict[str, Any]] = []
    for place, layer in enumerate(statistics):
        values = {name: value for name, value in vars(layer).items() if value is not None}
        layers.append({name: value for name, value in values.items() if not isinstance(value, Tensor)})
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{place}.{name}"] = value.contiguous()
    about = json.dumps(layers)
    metadata = {"format": str(FORMAT), "layers": about, "check": content_digest([about, _in_order(tensors)])}
    file.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when whole, so that a reader finds all of a file or none; two processes that write it do not share one.
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        save_file(tensors, partial, metadata=metadata)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def read_statistics(file: Path) -> list[LayerStatistics]:
    """What `write_statistics` wrote. Raises `ModelError` for a file that is damaged, cut short or no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            # Clones are aligned in memory, which a file is not.
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
        sound = metadata["check"] == content_digest([metadata["layers"], _in_order(tensors)])
        layers = json.loads(metadata["layers"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ModelError(f"{file} is damaged or cut short ({error!r}): remove it") from error
    if not sound:
        raise ModelError(f"{file} is damaged: its numbers are not those that were written; remove it")
    return [_layer(place, about, tensors) for place, about in enumerate(layers)]


def _in_order(tensors: dict[str, Tensor]) -> list[Any]:
    """Names and tensors by name: a file does not keep the order."""
    return sorted(tensors.items())


def _layer(place: int, about: dict[str, Any], tensors: dict[str, Tensor]) -> LayerStatistics:
    values = dict(about)
    for field in fields(LayerStatistics):
        if f"{place}.{field.name}" in tensors:
            values[field.name] = tensors[f"{place}.{field.name}"]
    return LayerStatistics(**values)


def _make_room(newest: Path, limit: int) -> None:
    """Remove the files that were not used for longest, until all take `limit` bytes; the newest always stays."""
    seen: list[tuple[float, int, Path]] = []
    for file in newest.parent.glob("*.safetensors"):
        with contextlib.suppress(FileNotFoundError):  # another process made room, too
            stat = file.stat()
            seen.append((stat.st_mtime, stat.st_size, file))
    held = sum(size for _, size, _ in seen)
    for _, size, file in sorted(seen):
        if held > limit and file != newest:
            file.unlink(missing_ok=True)
            held -= size
