"""The spread of adapter weights as curves of a training."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.distillation import weight_spread
from sparsebench.suites.training.callbacks import TrainingState
from sparsebench.suites.training.pair.spread import AdapterSpread


def vit() -> nn.Module:
    sizes: Any = {"img_size": 16, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", **sizes)


def test_before_and_after() -> None:
    student = vit()
    adapters = attach(student, BottleneckConfig(r=3, init="normal"))
    state = TrainingState(models={"student": student, "bare": vit()}, optimizers={}, data=None, total=5)
    callback = AdapterSpread()
    callback.on_start(state)
    before = weight_spread(adapters.weights())
    with torch.no_grad():
        for weight in adapters.weights().values():
            weight.mul_(3)
    state.step = 5
    callback.on_end(state)
    assert state.curves == {
        "std of adapter weights, student": [(0.0, before.std), (5.0, pytest.approx(3 * before.std))],
        "interquartile range of adapter weights, student": [
            (0.0, before.interquartile),
            (5.0, pytest.approx(3 * before.interquartile)),
        ],
    }
