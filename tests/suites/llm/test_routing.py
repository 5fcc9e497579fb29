"""What the routers of a model do with a text."""

from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.routing import watched
from sparsebench.suites.methods.moe_attention import MoEAttention
from sparsebench.suites.methods.moe_random import RandomSplit

from .letters import Letters


def test_watching_agrees_with_the_routers_own_choices(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = RandomSplit(num_experts=4, top_k=2).prepare(setup.model, setup.context)
    ids, seen = setup.context.batches()[0]["input_ids"], []
    hook = model.model.layers[1].mlp.router.register_forward_hook(lambda *a: seen.append(a[2].index))
    _, loads = watched(model, lambda: model(input_ids=ids))
    hook.remove()
    expected = torch.bincount(torch.cat(seen).flatten(), minlength=4).double()
    assert loads[1] == pytest.approx((expected / expected.sum()).tolist())


def test_attention_routers_are_watched_where_the_ffn_has_none(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = MoEAttention(num_experts=4, top_k=3).prepare(setup.model, setup.context)
    ids = setup.context.batches()[0]["input_ids"]
    _, loads = watched(model, lambda: model(input_ids=ids))
    assert {block: len(load) for block, load in loads.items()} == {0: 4, 1: 4}
    assert watched(tiny.load(torch.Generator()).model, lambda: 7) == (7, {})
