"""What the dense to MoE methods have in common: conversion without training, and calibration shared by cells."""

import hashlib
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.moe.calibration import Calibration, calibrate
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.convert import convert

from ..context import Context
from ..method import Backbone, Curves, NotApplicable
from ..task import Task
from ..training import TrainedMethod, TrainingData

WITHOUT_FFN = {
    "cnn": "a convolutional network has no feed-forward layer to cut",
    "graph": "the MLPs of a graph network hold batch norms and cannot be cut",
    "fingerprint": "a fingerprint has no feed-forward layer to cut",
}
"""Reasons by the family of the backbone."""

KEPT = 1
_calibrations: OrderedDict[str, Calibration] = OrderedDict()
"""The last `KEPT` calibrations of this process, by the hash of weights and data: cells of one seed share them."""


@dataclass(frozen=True, kw_only=True)
class MoEMethod(TrainedMethod):
    """Every FFN becomes a mixture of its own neurons; nothing trains, but for the head of a prediction task."""

    num_experts: int = 8
    """Equal blocks of neurons, the always-on ones included."""
    top_k: int = 4
    """Routed experts per token."""
    score: Literal["topk_softmax", "softmax_topk", "none"] = "none"
    """Weights of the chosen experts; "none" weighs them equally."""
    scale: Literal["paper", "norm", "exact"] | float = "exact"
    """Factor of the routed output; "exact" gives each chosen expert a mean coefficient of 1."""

    def __post_init__(self) -> None:
        self.moe_config(0)

    @abstractmethod
    def moe_config(self, seed: int) -> MoEConfig:
        """The conversion. Raises `ModelError` for a config that cannot be."""

    def unsupported(self, task: type[Task], backbone: Backbone) -> str | None:
        """Backbones without a transformer's feed-forward layer have nothing to cut."""
        return WITHOUT_FFN.get(backbone.family)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Convert in place; in a prediction task, leave only the head to train."""
        check_has_ffn(backbone)
        seed = int(torch.randint(2**31 - 1, (), generator=context.generator("neuron-split")))
        config = self.moe_config(seed)
        seen = calibration(backbone, context, gradients="gradients" in config.needs) if config.needs else None
        model = convert(backbone, config, seen)
        if context.target.kind != "next-token":
            model.requires_grad_(False)
            head = describe(model).head
            assert head is not None, "a predictor has a head"
            head.get().requires_grad_(True)
        return model

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Train the head of a prediction task; a language model stays as it was converted."""
        return {} if context.target.kind == "next-token" else super().fit(model, data, context)


def check_has_ffn(model: nn.Module) -> None:
    """Raise `NotApplicable` for a model whose anatomy is unknown, or that has no feed-forward layer to cut."""
    try:
        blocks = describe(model).blocks
    except UnknownAnatomy as error:
        raise NotApplicable(str(error)) from error
    if not any(block.mlp is not None and block.mlp.kind != "conv" for block in blocks):
        raise NotApplicable(f"{type(model).__name__} has no feed-forward layer to cut")


def calibration(model: nn.Module, context: Context, *, gradients: bool) -> Calibration:
    """Samples of every FFN on the calibration data; taken once per process for equal weights and data."""
    batches = context.calibration()
    key = f"{_fingerprint(model, batches)} {gradients}"
    if key not in _calibrations:
        _calibrations[key] = calibrate(model, batches, gradients=gradients)
        if len(_calibrations) > KEPT:
            _calibrations.popitem(last=False)
    _calibrations.move_to_end(key)
    return _calibrations[key]


def _fingerprint(model: nn.Module, batches: list[Any]) -> str:
    content = hashlib.sha256()
    for tensor in [*model.state_dict().values(), *_tensors(batches)]:
        content.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return content.hexdigest()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
