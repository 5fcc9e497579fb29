"""A router of one's own converts, saves, loads and exports as ours do, or is refused with the reason."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.models.moe.routing.kinds import FURTHER, register_router, router_class
from sparsebench.models.moe.routing.router import LinearRouter, Router

from ....packages import Install, installed

MODULE = """
import torch
from torch import nn
from sparsebench.models.moe.routing.router import Router


class Cosine(Router):
    rows = ("weight",)
    tensors = ("heat",)

    def __init__(self, config, weight_ND):
        super().__init__(config, weight_ND)
        self.weight = nn.Parameter(weight_ND)
        self.heat = nn.Parameter(weight_ND.new_full((), 8.0))

    @property
    def num_routed(self):
        return len(self.weight)

    def logits(self, x_TD):
        rows_ND = nn.functional.normalize(self.weight.to(x_TD.dtype), dim=-1)
        return self.heat.to(x_TD.dtype) * nn.functional.normalize(x_TD, dim=-1) @ rows_ND.T
"""


class Halved(Router):
    """logits = W x / 2."""

    rows = ("weight",)

    def __init__(self, config: Any, weight_ND: Tensor) -> None:
        super().__init__(config, weight_ND)
        self.weight = nn.Parameter(weight_ND)

    @property
    def num_routed(self) -> int:
        return len(self.weight)

    def logits(self, x_TD: Tensor) -> Tensor:
        return nn.functional.linear(x_TD, self.weight.to(x_TD.dtype)) / 2

    def linear_weight(self) -> Tensor:
        return self.weight / 2


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    monkeypatch.setattr(FURTHER, "_found", {})
    monkeypatch.setattr(FURTHER, "_modules", {})
    monkeypatch.setattr(FURTHER, "_points", {})
    with installed(tmp_path / "site", monkeypatch) as function:
        (tmp_path / "site").mkdir()
        yield function


def llama(**fields: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "vocab_size": 32}
    config = transformers.LlamaConfig(num_hidden_layers=2, num_key_value_heads=2, **sizes)  # type: ignore[arg-type]
    return convert(transformers.LlamaForCausalLM(config).eval(), MoEConfig(num_experts=4, **fields))


IDS = torch.arange(24).view(2, 12)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return model(IDS).logits


def test_a_router_of_a_package_and_what_is_said_without_it(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"cosine.py": MODULE}, {"routers:cosine": "cosine"})
    model = llama(router="cosine")
    model.model.layers[1].mlp.router.heat.data.fill_(3)
    save(model, tmp_path / "ours")
    model.save_pretrained(tmp_path / "theirs")
    for folder in (tmp_path / "ours", tmp_path / "theirs"):
        assert torch.equal(logits(load(folder)), logits(model))
    folder = tmp_path / "theirs"
    with pytest.raises(ModelError, match="no stock architecture has a router of the kind 'cosine'"):
        export(model, tmp_path / "stock")
    describe(model).blocks[0].mlp.experts.keep([0, 2, 3])  # type: ignore[union-attr]
    assert model.model.layers[0].mlp.router.weight.shape == (3, 16)
    assert json.loads((folder / "config.json").read_text())["sparsebench"]["parts"]["moe"]["packages"] == [
        {"kind": "router", "name": "cosine", "module": "package_of_tests.cosine", "package": "mine", "version": "1"}
    ]
    assert "the package `mine` (1)" in (folder / "README.md").read_text()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not str(path).startswith(str(tmp_path))])
    FURTHER._found.clear()
    for read in (load, transformers.AutoModelForCausalLM.from_pretrained):
        with pytest.raises(ModelError, match=r"^the model needs the router 'cosine' of the package mine 1, which"):
            read(folder)


def test_one_that_routes_as_a_matrix_does_goes_into_a_stock_checkpoint(install: Install, tmp_path: Path) -> None:
    register_router("halved", Halved)
    model = llama(router="halved")
    assert export(model, tmp_path / "stock") == "MixtralForCausalLM"
    stock = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "stock")
    torch.testing.assert_close(logits(stock), logits(model), rtol=1e-4, atol=1e-6)
    Halved.linear_weight, kept = (lambda self: self.weight), Halved.linear_weight  # type: ignore[method-assign]
    try:
        with pytest.raises(ModelError, match="would not compute what"):
            export(model, tmp_path / "wrong")
    finally:
        Halved.linear_weight = kept  # type: ignore[method-assign]


def test_a_class_that_changes_the_logits_of_ours_is_heeded_where_kernels_choose() -> None:
    """The C++ choice knew the matrix alone."""

    class Reversed(LinearRouter):
        def logits(self, x_TD: Tensor) -> Tensor:
            return -super().logits(x_TD)

    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    x = torch.randn(9, 64, generator=torch.Generator().manual_seed(1))
    router = Reversed(MoEConfig(num_experts=4), weight).eval()
    assert torch.equal(router(x, choice_only=True).index, (-x @ weight.T).topk(2).indices)
    assert router.linear_weight() is None


Break = Callable[[], object]


def test_what_is_no_router(install: Install) -> None:
    half = type("Half", (Router,), {"logits": lambda self, x: x})
    for cls, message in ((nn.Linear, "no class derived from Router"), (half, "it lacks num_routed, rows")):
        with pytest.raises(ModelError, match=message):
            register_router("mine", cls)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="the router 'mlp' is built in"):
        register_router("mlp", Halved)
    with pytest.raises(ModelError, match=r"router='liner' is not one of linear, mlp, glu.*did you mean 'linear'"):
        MoEConfig(router="liner")
    with pytest.raises(ModelError, match="cannot start from router_init='analytic': use 'random' or 'zeros'"):
        MoEConfig(router="mlp", router_init="analytic")
    assert router_class("linear") is LinearRouter
