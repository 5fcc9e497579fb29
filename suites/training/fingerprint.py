"""What distinguishes two trainings: data, settings, groups and the weights that they start from."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .data_order import FixedBatches
from .groups import Group
from .settings import TrainSettings


def fingerprint(
    models: Mapping[str, nn.Module],
    groups: Sequence[Group],
    optimizers: Mapping[str, torch.optim.Optimizer],
    settings: TrainSettings,
    step_size: str,
) -> dict[str, Any]:
    """JSON values by part; two trainings of the same data that are equal in all of them give the same result."""
    return {
        "settings": settings.identity(),
        "groups": {group.name: _group(group, optimizers[group.name]) for group in groups},
        "first weights": {name: weights_digest(model) for name, model in models.items()},
        "a step": step_size,
    }


def data_digest(data: Any) -> str:
    """`data.fingerprint()` where there is one, else a digest of what lies in memory: the examples of map-style data, or
    the batches of `FixedBatches`. Raises TypeError where neither can be had.
    """
    if hasattr(data, "fingerprint"):
        return str(data.fingerprint())
    examples = data.batches if isinstance(data, FixedBatches) else getattr(data, "train", None)
    if examples is None:
        raise TypeError(
            f"{type(data).__name__} has no fingerprint(): a stream must say which data it gives, "
            "so that another corpus in the same folder is noticed; add it, or train without a folder"
        )
    digest = hashlib.sha256()
    for row in range(len(examples)):
        _feed(digest, examples[row])
    return f"{len(examples)} examples, sha256 {digest.hexdigest()}"


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names and values of a model's state."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            _feed(digest, value)
    return digest.hexdigest()


def _group(group: Group, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Sizes and constants, in words that survive JSON."""
    parts = []
    for part in optimizer.param_groups:
        constants = {key: repr(value) for key, value in part.items() if key not in ("params", "lr")}
        parts.append({"shapes": [list(parameter.shape) for parameter in part["params"]], **constants})
    return {"optimizer": type(optimizer).__name__, "clip": group.clip, "parts": parts}


def _feed(digest: Any, value: Any) -> None:
    """Add a value, with its type and its shape, to a digest."""
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype} {list(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype} {list(value.shape)} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, str | bytes | int | float | np.generic | type(None)):
        digest.update(f"{value!r};".encode())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            _feed(digest, getattr(value, part.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _feed(digest, key)
            _feed(digest, item)
    elif isinstance(value, Sequence):
        digest.update(f"{len(value)} ".encode())
        for item in value:
            _feed(digest, item)
    else:
        raise TypeError(
            f"no digest of a {type(value).__name__}: give the data a fingerprint() that says which they are, "
            "or train without a folder"
        )
