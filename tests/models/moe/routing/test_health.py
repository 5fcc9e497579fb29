"""Health of routers: against counts by hand in float64, with padding; errors; modes."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.routing.health import LayerHealth, load_cv2, router_health

from .by_hand import LENGTHS, Counted, counted, made, padded

Build = Callable[[str], Any]


def assert_counted(health: LayerHealth, expected: Counted) -> None:
    picks = expected.picks
    experts = len(picks)
    total = sum(picks)
    mean = total / experts
    variance = sum((count - mean) ** 2 for count in picks) / (experts - 1)
    entropy = -sum(count / total * math.log(count / total) for count in picks if count)
    assert health.tokens == sum(LENGTHS)
    assert health.load.tolist() == pytest.approx([count / total for count in picks])
    assert health.worst == pytest.approx(max(picks) / mean)
    assert health.dead == tuple(expert for expert in range(experts) if picks[expert] == 0)
    assert health.entropy == pytest.approx(entropy)
    assert health.token_entropy == pytest.approx(expected.token_entropy)
    assert health.cv2 == pytest.approx(variance / mean**2, rel=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["mixtral", "ffn", "attention"])
def test_health_is_what_a_count_by_hand_gives(name: str, side: str, build: Build) -> None:
    model, routers = made(build, name)
    with torch.no_grad():
        first = model.get_submodule(routers[0])
        first.weight[3] = -10 * first.weight[1]  # an expert that hardly any token wants
    batch = padded(side, 40)  # a token that some expert would get
    expected = counted(model, routers, [batch])
    found = router_health(model, {"code": [batch], "twice": iter([batch, batch])})
    assert list(found) == ["code", "twice"]
    assert found["code"].keys() == expected.keys()
    for path, one in expected.items():
        assert_counted(found["code"][path], one)
        assert found["twice"][path].tokens == 2 * sum(LENGTHS)
        assert found["twice"][path].cv2 == pytest.approx(found["code"][path].cv2)


def test_extremes_of_the_load() -> None:
    assert load_cv2(torch.tensor([5, 5, 5])) == 0
    assert load_cv2(torch.tensor([0.0, 0, 8, 0])) == pytest.approx(4)
    assert load_cv2(torch.zeros(4)) == 0
    assert load_cv2(torch.tensor([7])) == 0
    assert load_cv2(torch.tensor([1e-3, 3e-3])) == pytest.approx(load_cv2(torch.tensor([1, 3])))


def test_models_are_left_as_they_were_and_may_be_called_with_anything(build: Build) -> None:
    model = convert(build("timm_vit"), MoEConfig(num_experts=4, top_k=1)).train()
    model.blocks[0].eval()
    modes = [module.training for module in model.modules()]
    found = router_health(model, {"noise": [torch.randn(2, 3, 32, 32)]})
    assert list(found["noise"]) == ["blocks.0.mlp", "blocks.1.mlp"]
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_what_cannot_be_measured_is_refused(build: Build) -> None:
    model, _ = made(build, "ffn")
    batch = padded("left", 40)
    hidden = batch | {"attention_mask": torch.zeros_like(batch["attention_mask"])}
    for empty in ([], [hidden]):
        with pytest.raises(ModelError, match="token of the domain 'law': give it a batch"):
            router_health(model, {"code": [batch], "law": empty})
    with pytest.raises(ModelError, match="Linear"):
        router_health(nn.Linear(2, 2), {"code": []})
