"""When student and teacher can be one model at inference."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.distillation import weight_spread
from sparsebench.suites.contracts.context import Context, Setup, Target
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.training.callbacks import TrainingState
from sparsebench.suites.training.pair.ensemble import AdapterSpread, ensemble_of

IMAGES = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Rows(NamedTuple):
    """Padded tokens, as batches of texts are."""

    values: Tensor
    attention_mask: Tensor


def surroundings(inputs: Any) -> Context:
    batches = [] if inputs is None else [(inputs, torch.zeros(6))]
    return Context(suite="s", task="t", seed=0, batches=lambda: batches, target=Target("classification", 3))


def teacher(inputs: Any) -> Setup:
    return Setup(model=nn.Flatten(), data=None, context=surroundings(inputs))


def test_the_same_inputs_and_another_normalisation() -> None:
    same = ensemble_of(nn.Flatten(), surroundings(IMAGES), teacher(IMAGES), "small")
    assert same.scale is None
    torch.testing.assert_close(same(IMAGES), IMAGES.flatten(1))
    other = ensemble_of(nn.Flatten(), surroundings(IMAGES), teacher(2 * IMAGES - 1), "small")
    torch.testing.assert_close(other(IMAGES), (3 * IMAGES - 1).flatten(1) / 2)


def test_tokens() -> None:
    rows = Rows(torch.arange(12).view(6, 2), torch.ones(6, 2))
    assert ensemble_of(nn.Identity(), surroundings(rows), teacher(rows), "small").scale is None
    with pytest.raises(NotApplicable, match="the teacher small reads other inputs"):
        ensemble_of(nn.Identity(), surroundings(rows), teacher(Rows(rows.values + 1, rows.attention_mask)), "small")


def test_where_it_cannot_be() -> None:
    with pytest.raises(NotApplicable, match="images of one size"):
        ensemble_of(nn.Flatten(), surroundings(IMAGES), teacher(IMAGES[:, :, :2]), "small")
    with pytest.raises(NotApplicable, match="no calibration examples"):
        ensemble_of(nn.Flatten(), surroundings(None), teacher(IMAGES), "small")
    writes = replace(surroundings(IMAGES), target=Target("next-token", 9))
    with pytest.raises(NotApplicable, match="only where a task predicts"):
        ensemble_of(nn.Flatten(), writes, teacher(IMAGES), "small")


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
