"""Modules by regular expressions of their names."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.adapters.by_name import attach_by_name
from sparsebench.models.adapters.kinds.dora import DoRAConfig
from sparsebench.models.adapters.kinds.ia3 import IA3Config
from sparsebench.models.adapters.named import exactly, sites_named
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]


def names(model: nn.Module, *patterns: str) -> list[str]:
    return [name for name, _ in sites_named(model, patterns)]


def test_a_pattern_matches_a_name_or_its_end(build: Build) -> None:
    model = build("llama")
    assert names(model, "q_proj") == [f"model.layers.{i}.self_attn.q_proj" for i in (0, 1)]
    assert names(model, r"1\.mlp\.(up|down)_proj", "norm") == [
        "model.layers.1.mlp.up_proj",
        "model.layers.1.mlp.down_proj",
        "model.norm",
    ]
    nested = nn.ModuleDict({"a": nn.ModuleDict({"b": nn.Linear(2, 2)}), "b": nn.Linear(2, 2)})
    assert names(nested, "b") == ["a.b", "b"] and names(nested, exactly("b")) == ["b"]
    assert names(nn.Sequential(nn.Linear(2, 2)), exactly("0")) == ["0"]


def test_names_are_those_without_wrappers(build: Build) -> None:
    model = build("llama")
    before = names(model, r".*")
    attach(model, BottleneckConfig(r=2, placement="parallel"))
    (name, site), _ = sites_named(model, ("mlp",))
    assert names(model, r".*") == before and name == "model.layers.0.mlp"
    assert site.path == "model.layers.0.mlp.base_layer" and site.get() is model.get_submodule(site.path)


def test_what_names_nothing_is_refused(build: Build) -> None:
    model = build("llama")
    with pytest.raises(ModelError, match=r"no module of this LlamaForCausalLM has a name that 'query' matches"):
        attach(model, IA3Config(modules=("q_proj", "query")))
    with pytest.raises(ModelError, match=r"'\(q' is no regular expression"):
        attach(model, IA3Config(modules=("(q",)))
    with pytest.raises(ModelError, match="modules='q_proj' must be a tuple"):
        IA3Config(modules="q_proj")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="blocks=1: modules are chosen by their names"):
        DoRAConfig(modules=("q_proj",), blocks=1)
    with pytest.raises(ModelError, match="lm_head is a head, which trains as a whole"):
        attach(model, DoRAConfig(modules=("lm_head",), r=2))
    attach(model, DoRAConfig(modules=("lm_head",), r=2, train_head=False))


def test_what_another_module_shares_is_refused(build: Build) -> None:
    model: Any = build("llama")
    model.lm_head.weight = model.model.embed_tokens.weight
    with pytest.raises(ModelError, match=r"lm_head shares its weight with model.embed_tokens: an adapter would"):
        attach(model, DoRAConfig(modules=("lm_head",), r=2, train_head=False))
    layer = nn.Linear(2, 2)
    with pytest.raises(ModelError, match="0 shares its weight with 1"):
        attach_by_name(nn.Sequential(layer, layer), IA3Config(modules=("0",)))
