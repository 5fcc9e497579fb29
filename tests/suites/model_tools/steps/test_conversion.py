"""Presets and numbers of one's own, in all FFNs or some."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, MoEFFN, preset
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.steps.conversion import Convert


def test_what_is_asked_for() -> None:
    assert Convert.of({"preset": "llama_moe_v2_8top2", "faithful": True}).config == preset(
        "llama_moe_v2_8top2", faithful=True
    )
    assert Convert.of({"preset": "cmoe_3p1of8", "top_k": 2}).config == preset("cmoe_3p1of8", top_k=2)
    assert Convert.of({"num_experts": 4}).config == MoEConfig(num_experts=4, router_init="energy")
    with pytest.raises(ModelError, match="unknown key 'layers'"):
        Convert.of({"num_experts": 4, "layers": [0]})


def test_a_model_is_converted(work: Callable[..., Work]) -> None:
    one = work()
    line = Convert.of({"num_experts": 4, "num_shared": 1, "top_k": 3}).apply(one)
    assert line == "2 FFNs cut into 4 experts, 1 of them always on, 3 of the others for a token"
    dense = work().model
    ids = torch.arange(20)[None]
    with torch.no_grad():  # all experts are on, but for the weights of the router
        assert one.model(ids).logits.shape == dense(ids).logits.shape
    assert all(isinstance(layer.mlp, MoEFFN) for layer in one.model.model.layers)


def test_some_ffns_stay_dense(work: Callable[..., Work]) -> None:
    one = work()
    values = {"num_experts": 4, "router_init": "random", "ignore": ["layers.1"]}
    assert Convert.of(values).apply(one).startswith("1 FFNs")
    assert [isinstance(layer.mlp, MoEFFN) for layer in one.model.model.layers] == [True, False]
    with pytest.raises(ModelError, match=r"'layers\.2' is found in none of the 2 FFNs, such as model\.layers\.0"):
        Convert.of({**values, "targets": ["layers.2"]}).apply(work())
