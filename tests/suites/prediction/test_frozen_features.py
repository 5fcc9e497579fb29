"""Frozen stages computed once: the same training as without, in every shape of model."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.prediction import frozen_features as frozen_prefix
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.prediction.frozen_features import TailModel, cache_frozen_features, frozen_stages
from sparsebench.suites.training.method import TrainedMethod
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.body import VisionBody
from sparsebench.suites.vtab.tasks.synthetic import Blobs


class Loop(TrainedMethod):
    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


def convnet(generator: torch.Generator) -> VisionBody:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return VisionBody(timm.create_model("tf_efficientnet_lite0", num_classes=0), 32)


BODIES: dict[str, tuple[Callable[[torch.Generator], VisionBody], AdapterConfig, int]] = {
    "cnn": (convnet, ConvConfig(r=2, blocks=2, init="normal"), 15),
    "vit": (tiny.load, LoRAConfig(r=2, blocks=1), 2),
}


def setup(kind: str, dtype: torch.dtype = torch.float32) -> Setup:
    load, config, _ = BODIES[kind]
    context = Context(suite="s", task="t", seed=0, dtype=dtype, budget=Budget(epochs=2, batch_size=16, test_examples=8))
    ready = Blobs().setup(load, context)
    attach(ready.model, config)
    return ready


@pytest.mark.parametrize("kind", BODIES)
def test_training_the_rest_is_training_the_whole(kind: str) -> None:
    method = Loop(learning_rate=1e-2)
    whole, part = setup(kind), setup(kind)
    losses = [loss for _, loss in TrainedMethod.fit(method, whole.model, whole.data, whole.context)["train loss"]]
    rest, data = cache_frozen_features(part.model, part.data, part.context)
    assert isinstance(rest, TailModel)
    from_cut = [loss for _, loss in TrainedMethod.fit(method, rest, data, part.context)["train loss"]]
    assert len(losses) == 8 and from_cut == pytest.approx(losses, rel=1e-4)
    for (name, one), (_, other) in zip(whole.model.named_parameters(), part.model.named_parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4), name


@pytest.mark.parametrize("kind", BODIES)
def test_everything_before_the_first_trained_block_is_frozen(kind: str) -> None:
    ready = setup(kind)
    inputs = ready.data.collate([ready.data.train[0]])[0]
    assert frozen_stages(ready.model.get_submodule("body"), inputs)[0] == BODIES[kind][2]


def test_outputs_from_the_cut_are_those_of_the_model() -> None:
    ready = setup("cnn")
    rest, data = cache_frozen_features(ready.model, ready.data, ready.context)
    rest.eval()
    for one, other in ((data.train, ready.data.train), (data.val, ready.data.val)):
        inputs, targets = data.collate(list(one[:8]))
        raw, same_targets = ready.data.collate(list(other[:8]))
        assert torch.allclose(rest(inputs), ready.model(raw), atol=1e-5) and torch.equal(targets, same_targets)


def test_a_frozen_body_gives_its_features() -> None:
    ready = setup("vit")
    ready.model.requires_grad_(False)
    ready.model.get_submodule("head").requires_grad_(True)
    rest, data = cache_frozen_features(ready.model, ready.data, ready.context)
    assert data.train[0][0].shape == (32,) and len(data.train) == 64 and len(data.val) == 32
    assert [p.shape for p in rest.parameters() if p.requires_grad] == [(4, 32), (4,)]


def test_the_cut_holds_no_test_part() -> None:
    ready = setup("vit")
    assert len(cache_frozen_features(ready.model, ready.data, ready.context)[1].test) == 0


def test_nothing_is_cut_when_the_first_stage_trains() -> None:
    ready = setup("vit")
    ready.model.requires_grad_(True)
    assert cache_frozen_features(ready.model, ready.data, ready.context) == (ready.model, ready.data)


def test_other_models_pass_through() -> None:
    ready, other = setup("vit"), nn.Linear(2, 2)
    assert cache_frozen_features(other, ready.data, ready.context) == (other, ready.data)


def test_too_large_results_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_prefix, "LARGEST", 1000)
    ready = setup("cnn")
    assert cache_frozen_features(ready.model, ready.data, ready.context)[0] is ready.model


def test_bfloat16_training_keeps_bfloat16_results() -> None:
    ready = setup("cnn", torch.bfloat16)
    assert isinstance(ready.model, LinearHeadModel)
    _, data = cache_frozen_features(ready.model, ready.data, ready.context)
    assert data.train[0][0].dtype == torch.bfloat16
