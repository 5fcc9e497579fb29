import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SPLITS, Partition, SplitInput, block_sizes, partition

Input = Callable[..., SplitInput]
BLIND = ("random", "sequential", "cluster")
COPIES = "whole"
EXCLUSIVE = sorted(set(SPLITS) - {"gradient_share", COPIES})


def config(split: str, **fields: object) -> MoEConfig:
    """The default of 8 experts, with the shared block that "residual" must have."""
    return MoEConfig(**({"split": split, "top_k": 1, "num_shared": int(split == "residual")} | fields))


@given(hidden=st.integers(1, 300), blocks=st.integers(1, 40))
def test_block_sizes(hidden: int, blocks: int) -> None:
    sizes = block_sizes(hidden, blocks)
    assert len(sizes) == blocks and sum(sizes) == hidden and max(sizes) - min(sizes) <= 1


@given(
    split=st.sampled_from(EXCLUSIVE),
    hidden=st.integers(12, 60),
    num_experts=st.integers(3, 12),
    num_shared=st.integers(0, 2),
    clusters=st.sampled_from(["documents", "tokens"]),
)
def test_partitions_are_disjoint_and_complete(
    split: str, hidden: int, num_experts: int, num_shared: int, clusters: str, ffn_input: Input
) -> None:
    num_shared = max(num_shared, int(split == "residual"))
    inp = ffn_input(config(split, num_experts=num_experts, num_shared=num_shared, clusters=clusters), hidden)
    parts = partition(inp)
    assert sorted(parts.order.tolist()) == list(range(hidden))
    assert len(parts.missing(hidden)) == 0
    assert len(parts.shared) == sum(block_sizes(hidden, num_experts)[:num_shared])
    assert sorted(parts.sizes, reverse=True) == list(block_sizes(hidden, num_experts)[num_shared:])
    for block in (parts.shared, *parts.experts):
        assert block.dtype == torch.int64 and block.equal(block.sort().values)


@pytest.mark.parametrize("hidden", [48, 50])
@pytest.mark.parametrize("fields", [{"split": "gradient_share"}, {"split": "residual", "overlap": True}])
@pytest.mark.parametrize("num_shared", [1, 2])
def test_overlapping_experts(hidden: int, fields: dict, num_shared: int, ffn_input: Input) -> None:
    parts = partition(ffn_input(MoEConfig(num_shared=num_shared, **fields), hidden))
    assert parts.sizes == block_sizes(hidden, 8)[num_shared:]
    assert not set(parts.shared.tolist()) & {neuron for expert in parts.experts for neuron in expert.tolist()}
    assert all(len(set(expert.tolist())) == len(expert) for expert in parts.experts)
    present = set(parts.order.tolist())
    assert parts.missing(hidden).tolist() == [neuron for neuron in range(hidden) if neuron not in present]
    assert len(present) < hidden, "experts of random data overlap"


@pytest.mark.parametrize("split", sorted(SPLITS))
def test_the_generator_decides(split: str, ffn_input: Input) -> None:
    def draw(seed: int) -> list[int]:
        return partition(ffn_input(config(split, seed=seed))).order.tolist()

    assert draw(0) == draw(0)
    if split == "random":
        assert draw(0) != draw(1)


@pytest.mark.parametrize("split", BLIND)
def test_some_splits_need_no_calibration(split: str, ffn_input: Input) -> None:
    parts = partition(ffn_input(config(split, num_shared=2), sampled=False))
    assert sorted(parts.order.tolist()) == list(range(50))


@pytest.mark.parametrize("split", BLIND)
@pytest.mark.parametrize("kind", ["activation", "gradient"])
def test_shared_neurons_are_the_most_important(split: str, kind: str, ffn_input: Input) -> None:
    inp = ffn_input(config(split, num_shared=2, importance=kind))
    assert inp.sample is not None and inp.sample.dh is not None
    if kind == "gradient":
        score = (inp.sample.h * inp.sample.dh).abs().mean(0)
    else:
        score = inp.sample.h.abs().mean(0) * inp.down.norm(dim=0)
    best = sorted(range(50), key=lambda neuron: -score[neuron])[:14]
    assert partition(inp).shared.tolist() == sorted(best)


def test_representatives_are_there_for_the_router_that_needs_them(ffn_input: Input) -> None:
    routed = config("random", router="glu", router_init="analytic")
    parts = partition(ffn_input(routed))
    assert parts.representatives is not None
    assert all(neuron in expert for neuron, expert in zip(parts.representatives, parts.experts, strict=True))
    assert partition(ffn_input(config("random"))).representatives is None
    with pytest.raises(ModelError, match="needs activations"):
        partition(ffn_input(routed, sampled=False))


@pytest.mark.parametrize("split", sorted(set(SPLITS) - {*BLIND, COPIES}))
def test_missing_activations(split: str, ffn_input: Input) -> None:
    with pytest.raises(ModelError, match=f"split='{split}' needs activations: pass calibration data"):
        partition(ffn_input(config(split), sampled=False))


@pytest.mark.parametrize("split", ["random", "gradient", "gradient_share", "residual"])
def test_missing_gradients(split: str, ffn_input: Input) -> None:
    inp = ffn_input(config(split, importance="gradient", num_shared=1))
    assert inp.sample is not None
    with pytest.raises(ModelError, match=r"calibrate\(model, batches, gradients=True\)"):
        partition(dataclasses.replace(inp, sample=dataclasses.replace(inp.sample, dh=None)))


def test_other_bad_input(ffn_input: Input) -> None:
    with pytest.raises(ModelError, match="7 hidden neurons cannot form num_experts=8"):
        partition(ffn_input(config("random"), 7))
    inp = ffn_input(config("cluster", cluster_on="gate"))
    nan = torch.full((50, 12), float("nan"))
    with pytest.raises(ModelError, match="NaN or infinite"):
        partition(dataclasses.replace(inp, neurons=dataclasses.replace(inp.neurons, gate=nan)))


def test_storage_order() -> None:
    parts = Partition(shared=torch.tensor([4]), experts=(torch.tensor([0, 2]), torch.tensor([2, 5])))
    assert parts.order.tolist() == [4, 0, 2, 2, 5] and parts.sizes == (2, 2)
    assert parts.missing(7).tolist() == [1, 3, 6]
