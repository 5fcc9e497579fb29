"""Health of routers: against counts by hand in float64, with padding; errors; modes."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert
from sparsebench.models.moe.routing.health import LayerHealth, load_cv2, router_health

Build = Callable[[str], Any]
LENGTHS = (9, 5)


def made(build: Build, name: str) -> tuple[Any, list[str]]:
    """A model in float64, and where its routers' matrices (N, D) lie: their modules get the router's input."""
    if name == "stock":
        model = build("mixtral").double()
        model.set_experts_implementation("eager")  # the others are for single precision
        return model, [f"model.layers.{place}.mlp.gate" for place in range(2)]
    if name == "attention":
        attn = AttnMoEConfig(num_experts=4, top_k=2)
        model = convert(build("llama").double(), MoEConfig(num_experts=4, top_k=2, attn=attn))
        return model, [f"model.layers.{place}.{part}.router" for place in range(2) for part in ("self_attn", "mlp")]
    model = convert(build("llama").double(), MoEConfig(num_experts=9, top_k=2, num_shared=1))
    return model, [f"model.layers.{place}.mlp.router" for place in range(2)]


def padded(side: str) -> dict[str, Tensor]:
    """Two rows of different lengths; what stands where there is no token is a token that some expert would get."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 64, (len(LENGTHS), max(LENGTHS)), generator=generator)
    place = torch.arange(max(LENGTHS))
    lengths = torch.tensor(LENGTHS).unsqueeze(1)
    mask = place < lengths
    if side == "left":
        mask = mask.flip(1)
    return {"input_ids": ids, "attention_mask": mask.long(), "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}


def by_hand(model: Any, routers: list[str], batch: dict[str, Tensor]) -> dict[str, tuple[list[int], float]]:
    """Picks of each expert, and mean entropy of a token's logits, of the real tokens, one by one."""
    inputs: dict[str, Tensor] = {}
    hooks = []
    for path in routers:
        module = model.get_submodule(path)
        hooks.append(module.register_forward_pre_hook(lambda _, args, path=path: inputs.update({path: args[0]})))
    with torch.no_grad():
        model(**batch)
    for hook in hooks:
        hook.remove()
    real = batch["attention_mask"].flatten().tolist()
    found = {}
    for path in routers:
        matrix = model.get_submodule(path).weight.detach()
        picks = [0] * len(matrix)
        entropies = []
        for x_D, is_real in zip(inputs[path].reshape(len(real), -1), real, strict=True):
            if not is_real:
                continue
            logits = [float(row @ x_D) for row in matrix]
            total = sum(math.exp(logit) for logit in logits)
            shares = [math.exp(logit) / total for logit in logits]
            entropies.append(-sum(share * math.log(share) for share in shares))
            for expert in sorted(range(len(logits)), key=lambda e: -logits[e])[:2]:
                picks[expert] += 1
        found[path.rpartition(".")[0]] = (picks, sum(entropies) / len(entropies))
    return found


def assert_counted(health: LayerHealth, picks: list[int], token_entropy: float) -> None:
    experts = len(picks)
    total = sum(picks)
    mean = total / experts
    variance = sum((count - mean) ** 2 for count in picks) / (experts - 1)
    entropy = -sum(count / total * math.log(count / total) for count in picks if count)
    assert health.tokens == sum(LENGTHS) == total / 2
    assert health.load.tolist() == pytest.approx([count / total for count in picks])
    assert health.worst == pytest.approx(max(picks) / mean)
    assert health.dead == tuple(expert for expert in range(experts) if picks[expert] == 0)
    assert health.entropy == pytest.approx(entropy)
    assert health.token_entropy == pytest.approx(token_entropy)
    assert health.cv2 == pytest.approx(variance / mean**2, rel=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["stock", "converted", "attention"])
def test_health_is_what_a_count_by_hand_gives(name: str, side: str, build: Build) -> None:
    model, routers = made(build, name)
    with torch.no_grad():
        first = model.get_submodule(routers[0])
        first.weight[3] = -10 * first.weight[1]  # an expert that hardly any token wants
    batch = padded(side)
    expected = by_hand(model, routers, batch)
    found = router_health(model, {"code": [batch], "twice": iter([batch, batch])})
    assert list(found) == ["code", "twice"]
    assert found["code"].keys() == expected.keys()
    for path, counted in expected.items():
        assert_counted(found["code"][path], *counted)
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
    model, _ = made(build, "converted")
    batch = padded("left")
    hidden = batch | {"attention_mask": torch.zeros_like(batch["attention_mask"])}
    for empty in ([], [hidden]):
        with pytest.raises(ModelError, match="token of the domain 'law': give it a batch"):
            router_health(model, {"code": [batch], "law": empty})
    with pytest.raises(ModelError, match="Linear"):
        router_health(nn.Linear(2, 2), {"code": []})
