"""What every method that compresses says it took away: whole, in the record, and read by the panel of the page."""

from typing import Any

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.reports.compression import curves as names
from sparsebench.reports.compression.curves import links_of
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.tasks.synthetic import SyntheticText
from sparsebench.suites.methods.compression._removed import Sizes, tell, told
from sparsebench.suites.methods.compression.block_drop import BlockDrop
from sparsebench.suites.methods.compression.compression_search import CompressionSearch
from sparsebench.suites.methods.compression.expert_drop import ExpertDrop
from sparsebench.suites.methods.compression.expert_merging import ExpertMerging
from sparsebench.suites.methods.compression.layer_drop import LayerDrop
from sparsebench.suites.methods.compression.mean_experts import MeanExperts
from sparsebench.suites.methods.compression.quantise import Quantise
from sparsebench.suites.methods.compression.wanda import Wanda
from sparsebench.suites.methods.moe.moe_random import RandomSplit

BUDGET = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=8)
SPLIT = RandomSplit(num_experts=8, top_k=4, score="topk_softmax", train="none")


def context() -> Context:
    return Context(suite="llm", task="synthetic", seed=0, budget=BUDGET)


def setup() -> tuple[Any, Context]:
    """Two blocks of eight experts each, four of them chosen."""
    found = SyntheticText().setup(tiny.load, context())
    return SPLIT.prepare(found.model, found.context), found.context


def said(method: Any) -> tuple[Any, dict[str, Any]]:
    """The changed model, and the curves of the method alone."""
    model, surroundings = setup()
    before = (stored_bytes(model), count_parameters(model).active)
    made = method.prepare(model, surroundings)
    (link,) = links_of(method.fit(made, None, surroundings))
    after = (stored_bytes(made), count_parameters(made).active)
    assert link.values(names.BYTES) == [before[0], after[0]] and link.values(names.ACTIVE) == [before[1], after[1]]
    return made, dict(link.curves)


@pytest.mark.parametrize("method", [ExpertDrop(train="none"), ExpertMerging(train="none"), MeanExperts(train="none")])
def test_experts_that_went_and_tokens_that_all_saw(method: Any) -> None:
    model, curves = said(method)
    assert curves[names.EXPERTS_BEFORE] == [(0.0, 8.0), (1.0, 8.0)]
    assert curves[names.EXPERTS] == [(0.0, 6.0), (1.0, 6.0)]
    for block in (0.0, 1.0):
        gone = [expert for place, expert in curves[names.DROPPED_EXPERTS] if place == block]
        tokens = [count for place, count in curves[names.TOKENS] if place == block]
        unseen = [expert for place, expert in curves.get(names.UNSEEN_EXPERTS, ()) if place == block]
        assert len(set(gone)) == 2 and set(gone) <= set(range(8))
        assert len(tokens) == 8 and unseen == [expert for expert, count in enumerate(tokens) if count == 0]
        # Each token chose four of the eight.
        assert sum(tokens) % 4 == 0 and sum(tokens) > 0
    assert [block.mlp.experts.num_experts for block in describe(model).blocks] == [6, 6]  # type: ignore[union-attr]


def test_zeros_of_every_matrix() -> None:
    _, curves = said(Wanda(train="none"))
    roles = {name for name in curves if name.startswith(names.ZEROS)}
    assert roles == {names.ZEROS + role for role in ("gate", "up", "down")}
    for role in roles:
        assert [block for block, _ in curves[role]] == [0.0] * 8 + [1.0] * 8
        assert all(share == pytest.approx(0.5, abs=0.02) for _, share in curves[role])


@pytest.mark.parametrize("method", ["rtn", "gptq"])
def test_bits_groups_and_errors(method: Any) -> None:
    _, curves = said(Quantise(train="none", method=method, bits=3, group_size=16))
    assert curves[names.BITS] == [(0.0, 3.0), (1.0, 3.0)] and curves[names.GROUP_SIZE] == [(0.0, 16.0), (1.0, 16.0)]
    if method == "rtn":
        assert names.ERROR not in curves and names.TO_NEAREST not in curves
    else:
        assert all(0 < error < 1 for _, error in curves[names.ERROR]) and len(curves[names.ERROR]) > 8


def test_layers_and_blocks() -> None:
    for method in (LayerDrop(train="none"), BlockDrop(train="none")):
        _, curves = said(method)
        assert sum(value for _, value in curves[names.DROPPED]) == 1 and len(curves[names.SIMILARITY]) == 2


def test_the_recipe_of_a_search() -> None:
    fast: dict[str, Any] = {"experts": (0.5,), "widths": (0.5,), "bits": (3,), "group_size": 16, "anchors": 1}
    model, curves = said(CompressionSearch(keep=0.75, train="none", **fast))
    assert [value for _, value in curves[names.EXPERTS_BEFORE]] == [8.0, 8.0]
    left = [0 if block.mlp is None else block.mlp.experts.num_experts for block in describe(model).blocks]  # type: ignore
    assert [value for _, value in curves[names.EXPERTS]] == left
    assert len(curves[names.DAMAGE]) == 2 and all(damage >= 0 for _, damage in curves[names.DAMAGE])


def test_a_chain_says_it_link_by_link() -> None:
    chain = (SPLIT, ExpertDrop(train="none"), LayerDrop(train="none"), Quantise(train="none", method="rtn"))
    outcome = SyntheticText().run(chain, tiny.load, context())
    links = links_of(outcome.curves)
    assert [link.number for link in links] == [2, 3, 4]
    sizes = [link.values(names.BYTES) for link in links]
    assert sizes[0][1] == sizes[1][0] and sizes[1][1] == sizes[2][0]
    assert outcome.costs is not None and sizes[2][1] == outcome.costs.bytes


def test_nothing_is_said_of_a_model_that_lost_nothing() -> None:
    model = torch.nn.Linear(2, 2)
    assert told(model) == {}
    tell(model, Sizes(model).curves())
    assert told(model)[names.BYTES] == [(0.0, 24.0), (1.0, 24.0)]
