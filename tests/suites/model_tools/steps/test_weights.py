"""Zeros and bits where they are meant, groups that fit, and a search that keeps its budget."""

from collections.abc import Callable

import pytest

from sparsebench.models.compression.quantisation import packed_weights
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.steps.weights import Prune, Quantise, Search, parts_of

MIXTURE = MoEConfig(num_experts=4, num_shared=1, top_k=2)


def test_all_parts_but_the_router(work: Callable[..., Work]) -> None:
    assert parts_of(work().model, ()) == ("attention", "ffn")
    assert parts_of(work(MIXTURE).model, ()) == ("attention", "experts", "shared")
    assert parts_of(work(MIXTURE).model, ("router",)) == ("router",)


def test_zeros_where_they_are_meant(work: Callable[..., Work]) -> None:
    one = work()
    Prune(pattern="2:4", targets=("mlp",), ignore=("down",)).apply(one)
    for name, weight in one.model.model.layers.named_parameters():
        pruned = name.endswith(("gate_proj.weight", "up_proj.weight"))
        assert (weight == 0).float().mean().item() == (0.5 if pruned else 0.0), name


@pytest.mark.parametrize("method", ["rtn", "awq"])
def test_bits_where_they_are_meant(method: str, work: Callable[..., Work]) -> None:
    one = work()
    line = Quantise(method=method, parts=("ffn",), ignore=(r"down_proj",)).apply(one)  # type: ignore[arg-type]
    assert line.endswith("4 bits in groups of 32")  # which divides 32 inputs
    assert all("down_proj" not in name for name, _ in packed_weights(one.model))
    assert len(list(packed_weights(one.model))) == 4


def test_groups_that_fit(work: Callable[..., Work]) -> None:
    one = work(MIXTURE)
    assert Quantise(method="rtn", bits=8, group_size="row").apply(one).endswith("8 bits in whole rows")
    with pytest.raises(ModelError, match="group_size=48 divides none of the numbers of columns 32, 128: take 32"):
        Quantise(method="rtn", group_size=48).apply(work())
    uneven = work(MoEConfig(num_experts=3))
    line = Quantise(method="rtn", parts=("experts",)).apply(uneven)  # 43 neurons
    assert line.endswith("4 bits in whole rows")


def test_the_search_keeps_its_budget(work: Callable[..., Work]) -> None:
    one = work(MoEConfig(num_experts=4, top_k=2))
    before = stored_bytes(one.model)
    line = Search(bytes=0.8, change=("experts", "width")).apply(one)
    assert stored_bytes(one.model) <= 0.8 * before
    assert "bytes by the recipe" in line and "uniform: " in line
    with pytest.raises(ModelError, match="name one of the two budgets"):
        Search()
