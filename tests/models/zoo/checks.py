"""What a transform may do to a model of the zoo: exactly what it says, or refuse with a reason and change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.restoration import to_dense
from sparsebench.models.moe.routing.probe import routing_probe

Outputs = Callable[[nn.Module], Tensor]
ALL_ON = MoEConfig(num_experts=4, top_k=3, num_shared=1, score="none", scale="exact")
ADAPTERS: dict[str, AdapterConfig] = {
    "linears": LoRAConfig(r=2, targets=("linears",), train_head=False),
    "bottleneck": BottleneckConfig(r=3, placement="houlsby", train_head=False),
    "parallel": BottleneckConfig(r=3, placement="parallel", train_head=False),
}


def numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def converts(model: nn.Module, outputs: Outputs, refusal: str = "") -> None:
    """With all experts on the function is the same, fewer change it, and the dense layers come back bit for bit."""
    before = outputs(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if refusal:
        with pytest.raises(ModelError, match=refusal):
            convert(model, ALL_ON)
    else:
        convert(model, ALL_ON)
        torch.testing.assert_close(outputs(model), before, atol=1e-11, rtol=1e-10)
        to_dense(model)
        convert(model, MoEConfig(num_experts=4, top_k=1))
        assert (outputs(model) - before).abs().max() > 1e-6
        to_dense(model)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def adapts(model: nn.Module, outputs: Outputs, refusals: dict[str, str]) -> None:
    """Adapters change nothing at the start, all of them act once they have values, and go without a trace."""
    before = outputs(model)
    names = list(model.state_dict())
    for kind, config in ADAPTERS.items():
        if kind in refusals:
            with pytest.raises(ModelError, match=refusals[kind]):
                attach(model, config)
            continue
        dense = count_parameters(model).total
        adapters = attach(model, config)
        torch.testing.assert_close(outputs(model), before, atol=1e-11, rtol=1e-10)
        assert adapters.count() == count_parameters(model).total - dense > 0
        _check_reach(model, adapters.layers(), kind)
        generator = torch.Generator().manual_seed(2)
        for parameter in adapters.parameters():
            parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.1
        assert (outputs(model) - before).abs().max() > 1e-6
        adapters.remove()
        assert torch.equal(outputs(model), before) and list(model.state_dict()) == names


def _check_reach(model: nn.Module, layers: object, kind: str) -> None:
    """ "linears" leaves no matrix of a block out but routers' and the gates of shared FFNs."""
    if kind != "linears":
        return
    adapted: set[int] = set()
    for _, layer in layers:  # type: ignore[attr-defined]
        adapted |= {id(parameter) for parameter in layer.get_base_layer().parameters()}
    for block in describe(model).blocks:
        for name, parameter in block.site.get().named_parameters():
            if "lora_" in name or parameter.ndim < 2 or re.search(r"router|gate\.weight|expert_gate|conv_dw", name):
                continue
            assert id(parameter) in adapted, name


def counts(model: nn.Module, idle: int) -> None:
    """The total is what there is, and so many parameters idle on a token."""
    found = count_parameters(model)
    assert found.total == found.nonzero == numel(model)
    assert found.total - found.active == idle
    buffers = sum(buffer.nbytes for name, buffer in model.named_buffers() if name in model.state_dict())
    assert stored_bytes(model) == sum(parameter.nbytes for parameter in model.parameters()) + buffers


def probes(model: nn.Module, outputs: Outputs, tokens: int) -> None:
    """Each mixture is seen by its name, with every token routed to its k experts; the outputs do not change."""
    before = outputs(model)
    with routing_probe(model) as probe:
        assert torch.equal(outputs(model), before)
    experts = {
        block.mlp.site.path: block.mlp.experts
        for block in describe(model).blocks
        if block.mlp is not None and block.mlp.experts is not None
    }
    assert probe.layers.keys() == experts.keys()
    for path, layer in probe.layers.items():
        assert layer.tokens == tokens
        torch.testing.assert_close(layer.load.double().sum(), torch.tensor(1.0, dtype=torch.float64))
        assert len(layer.load) == experts[path].num_experts
