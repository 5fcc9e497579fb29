"""What every method that compresses notes that it took away: whole, in the record, and read by the panel."""

from typing import Any

import pytest

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.reports.compression.notes import KEY, ZEROS, Link, from_details
from sparsebench.reports.panels.panel import by_link
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.compression.block_drop import BlockDrop
from sparsebench.suites.methods.compression.compression_search import CompressionSearch
from sparsebench.suites.methods.compression.expert_drop import ExpertDrop
from sparsebench.suites.methods.compression.expert_merging import ExpertMerging
from sparsebench.suites.methods.compression.layer_drop import LayerDrop
from sparsebench.suites.methods.compression.mean_experts import MeanExperts
from sparsebench.suites.methods.compression.quantise import Quantise
from sparsebench.suites.methods.compression.wanda import Wanda
from sparsebench.suites.methods.moe.moe_random import RandomSplit

from ..setups import eight_experts, surroundings


def said(method: Any) -> tuple[Any, Link]:
    """The changed model, and what the method noted."""
    model, context, _ = eight_experts("llm")
    before = (stored_bytes(model), count_parameters(model).active)
    made = method.prepare(model, context)
    after = (stored_bytes(made), count_parameters(made).active)
    noted = context.notes[KEY]
    assert noted["bytes"] == [before[0], after[0]] and noted["active"] == [before[1], after[1]]
    return made, from_details(1, noted)


@pytest.mark.parametrize("method", [ExpertDrop(train="none"), ExpertMerging(train="none"), MeanExperts(train="none")])
def test_experts_that_went_and_tokens_that_all_saw(method: Any) -> None:
    model, link = said(method)
    assert link.points("experts_before") == [(0.0, 8.0), (1.0, 8.0)]
    assert link.points("experts") == [(0.0, 6.0), (1.0, 6.0)]
    for lists in link.blocks.values():
        gone = lists["dropped_experts"]
        tokens = lists["tokens"]
        assert len(set(gone)) == 2 and set(gone) <= set(range(8))
        assert len(tokens) == 8
        assert lists.get("unseen_experts", []) == [expert for expert, count in enumerate(tokens) if count == 0]
        # Each token chose four of the eight.
        assert sum(tokens) % 4 == 0 and sum(tokens) > 0
    assert [block.mlp.experts.num_experts for block in describe(model).blocks] == [6, 6]  # type: ignore[union-attr]


def test_zeros_of_every_matrix() -> None:
    _, link = said(Wanda(train="none"))
    for lists in link.blocks.values():
        assert set(lists) == {ZEROS + role for role in ("gate", "up", "down")}
        for zeros in lists.values():
            assert zeros == pytest.approx([0.5] * 8, abs=0.02)
    assert len(link.blocks) == 2 and len(link.zeros()) == 48


@pytest.mark.parametrize("method", ["rtn", "gptq"])
def test_bits_groups_and_errors(method: Any) -> None:
    _, link = said(Quantise(train="none", method=method, bits=3, group_size=16))
    assert link.points("bits") == [(0.0, 3.0), (1.0, 3.0)] and link.points("group_size") == [(0.0, 16.0), (1.0, 16.0)]
    errors = link.values("error")
    if method == "rtn":
        assert errors == [] and link.values("to_nearest") == []
    else:
        assert all(0 < error < 1 for error in errors) and len(errors) > 8


def test_layers_and_blocks() -> None:
    for method in (LayerDrop(train="none"), BlockDrop(train="none")):
        _, link = said(method)
        assert sum(link.values("dropped")) == 1 and len(link.values("similarity")) == 2


def test_the_recipe_of_a_search() -> None:
    fast: dict[str, Any] = {"experts": (0.5,), "widths": (0.5,), "bits": (3,), "group_size": 16, "anchors": 1}
    model, link = said(CompressionSearch(keep=0.75, train="none", **fast))
    assert link.values("experts_before") == [8, 8]
    left = [0 if block.mlp is None else block.mlp.experts.num_experts for block in describe(model).blocks]  # type: ignore
    assert link.values("experts") == left
    assert len(link.values("damage")) == 2 and all(damage >= 0 for damage in link.values("damage"))


def test_a_chain_notes_it_link_by_link() -> None:
    split = RandomSplit(num_experts=8, top_k=4, train="none")
    chain = (split, ExpertDrop(train="none"), LayerDrop(train="none"), Quantise(train="none", method="rtn"))
    outcome = SyntheticText().run(chain, tiny.load, surroundings("llm"))
    links = [from_details(number, note) for number, note in by_link(outcome.details, KEY).items()]
    assert [link.number for link in links] == [2, 3, 4]
    assert links[0].bytes[1] == links[1].bytes[0] and links[1].bytes[1] == links[2].bytes[0]
    assert outcome.costs is not None and links[2].bytes[1] == outcome.costs.bytes
