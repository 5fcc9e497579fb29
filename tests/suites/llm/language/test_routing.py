"""What the routers of a model do with a text, and what the record keeps of it."""

import dataclasses
from typing import Any

import pytest
import torch

from sparsebench.reports.routers.health import from_details
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.training_costs import TrainingLedger
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.routing import Watched, health_details, watched
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.moe.moe_random import RandomSplit

from ..letters import Letters


def test_watching_agrees_with_the_routers_own_choices(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = RandomSplit(num_experts=4, top_k=2).prepare(setup.model, setup.context)
    ids, seen = setup.context.batches()[0]["input_ids"], []
    hook = model.model.layers[1].mlp.router.register_forward_hook(lambda *a: seen.append(a[2].index))
    _, routers = watched(model, lambda: model(input_ids=ids))
    hook.remove()
    expected = torch.bincount(torch.cat(seen).flatten(), minlength=4).double()
    assert routers.loads[1] == pytest.approx((expected / expected.sum()).tolist())
    assert routers.health["1"].worst == pytest.approx(float(expected.max() / expected.mean()))
    assert list(routers.health) == ["0", "1"] and routers.health["1"].token_entropy is None
    _, routers = watched(model, lambda: model(input_ids=ids), logits=True)
    assert routers.health["1"].token_entropy == pytest.approx(1.386, abs=0.1)


def test_attention_routers_are_watched_where_the_ffn_has_none(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = MoEAttention(num_experts=4, top_k=3).prepare(setup.model, setup.context)
    ids = setup.context.batches()[0]["input_ids"]
    _, routers = watched(model, lambda: model(input_ids=ids))
    assert {block: len(load) for block, load in routers.loads.items()} == {0: 4, 1: 4}
    assert list(routers.health) == ["0 attention", "1 attention"]
    assert watched(tiny.load(torch.Generator()).model, lambda: 7) == (7, Watched())


def test_the_record_keeps_health_by_domain_and_the_product_rate_where_something_was_trained(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = RandomSplit(num_experts=4, top_k=1).prepare(setup.model, setup.context)
    rows = {"a": torch.full((1, 9), 97), "b": torch.arange(97, 106).unsqueeze(0)}
    seen = {name: watched(model, lambda ids=ids: model(input_ids=ids))[1] for name, ids in rows.items()}
    details = health_details(seen, context)
    assert list(details) == ["router_health"]
    kept = from_details(details["router_health"])
    assert kept.layers == ("0", "1") and kept.experts == (4, 4) and list(kept.domains) == ["a", "b"]
    for name, routers in seen.items():
        for numbers, layer in zip(kept.domains[name], routers.health.values(), strict=True):
            assert numbers.dead == layer.dead
            assert (numbers.worst, numbers.cv2) == pytest.approx((layer.worst, layer.cv2), rel=1e-3)
    ledger = TrainingLedger()
    ledger.count(model.parameters())
    trained = health_details({"a": Watched()}, dataclasses.replace(context, ledger=ledger))
    assert list(trained) == ["product_rate"] and trained["product_rate"] > 1e7
    assert health_details({"a": Watched()}, context) == {}
