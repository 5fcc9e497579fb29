from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import MLP, describe
from sparsebench.models.calibration import expert_calls as room
from sparsebench.models.calibration.expert_calls import ExpertCall, expert_calls, expert_outputs, routed
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]
REAL = torch.tensor([[1, 1, 0, 1]]).bool()


def mixture(model: nn.Module) -> MLP:
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None
    return mlp


def test_calls_hold_real_tokens_only(build: Build) -> None:
    model: Any = build("mixtral")
    mlp = mixture(model)
    inputs: list[Tensor] = []
    hook = mlp.site.get().register_forward_pre_hook(lambda module, args: inputs.append(args[0][0]))
    calls: list[ExpertCall] = []
    with torch.no_grad(), expert_calls(mlp, lambda: REAL, calls.append):
        model(torch.arange(3, 7)[None])
    model(torch.arange(3, 7)[None])
    hook.remove()
    assert len(calls) == 1
    x = inputs[0][REAL[0]]
    logits = x @ mlp.site.get().gate.weight.detach().T
    assert calls[0].logits is not None and torch.equal(calls[0].x, x)
    torch.testing.assert_close(calls[0].logits, logits)
    weight, index = logits.softmax(-1).topk(2)
    assert torch.equal(calls[0].index, index)
    torch.testing.assert_close(calls[0].weight, weight / weight.sum(-1, keepdim=True))


def test_a_mask_that_does_not_fit_is_refused(build: Build) -> None:
    model = build("mixtral")
    with (
        pytest.raises(ModelError, match="a mask of 4 tokens does not fit the 5 tokens of model"),
        expert_calls(mixture(model), lambda: REAL, print),
    ):
        model(torch.arange(3, 8)[None])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_outputs_of_single_experts(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAIRS", 3)
    experts = routed(mixture(build("qwen3_moe")))
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    token, expert = torch.tensor([0, 2, 1, 0, 1]), torch.tensor([0, 0, 1, 3, 3])
    with torch.no_grad():
        parts = list(expert_outputs(experts, x, token, expert))
        assert [part for part, _ in parts] == [slice(0, 3), slice(3, 5)]
        for place, found in enumerate(torch.cat([out for _, out in parts])):
            weights = experts.weights(int(expert[place]))
            row = x[token[place]]
            hidden = nn.functional.silu(weights.gate @ row) * (weights.up @ row)
            torch.testing.assert_close(found, weights.down @ hidden, atol=1e-7, rtol=1e-5)


def test_what_has_no_routed_experts_is_refused(build: Build) -> None:
    with pytest.raises(ModelError, match="of kind 'gated': it has no experts"):
        routed(mixture(build("llama")))
    mlp = mixture(build("mixtral"))
    assert mlp.experts is not None
    mlp.experts.module = None
    with pytest.raises(ModelError, match="are not called with"):
        routed(mlp)
