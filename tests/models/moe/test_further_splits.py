"""A split of one's own, by a call or by a package."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.further_splits import FURTHER, register_split
from sparsebench.models.moe.splits import Partition, SplitInput, partition

from ...packages import Install, installed

MODULE = """
from sparsebench.models.moe.splits import Partition

NEEDS = ("activations",)


def split(inp):
    order = inp.need_sample().h.abs().mean(0).argsort(stable=True)
    return Partition(shared=order[: inp.shared_size], experts=order[inp.shared_size :].split(list(inp.expert_sizes)))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    monkeypatch.setattr(FURTHER, "_found", {})
    monkeypatch.setattr(FURTHER, "_modules", {})
    with installed(tmp_path, monkeypatch) as function:
        yield function


def test_a_split_of_a_package(install: Install, ffn_input: Callable[..., SplitInput]) -> None:
    install({"by_size.py": MODULE}, {"splits:by_size": "by_size"})
    config = MoEConfig(num_experts=5, num_shared=1, split="by_size")
    assert config.requires == {"activations"}
    inp = ffn_input(config)
    parts = partition(inp)
    assert parts.sizes == (10, 10, 10, 10) and len(parts.shared) == 10 and not len(parts.missing(50))
    with pytest.raises(ModelError, match="'by_size' needs activations"):
        partition(ffn_input(config, sampled=False))


def pieces(*sizes: int, dtype: torch.dtype = torch.int64, shared: int = 0, start: int = 0) -> Partition:
    neurons = torch.arange(start, start + sum(sizes) + shared, dtype=dtype)
    return Partition(shared=neurons[:shared], experts=neurons[shared:].split(list(sizes)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("fifty", "gave a str in the place of a Partition"),
        (pieces(25, 25), "gave 2 experts, not 5"),
        (pieces(20, 20, 10, 0, 0), "an expert without neurons"),
        (pieces(*[10] * 5, start=1), "indices from 0 to 49"),
        (pieces(*[10] * 5, dtype=torch.int32), "must give int64 indices"),
        (pieces(*[8] * 5, shared=10), "gave 10 shared neurons, not 0"),
    ],
)
def test_blocks_that_no_mixture_has(
    given: Partition, message: str, install: Install, ffn_input: Callable[..., SplitInput]
) -> None:
    register_split("mine", lambda inp: given)
    with pytest.raises(ModelError, match=f"split='mine' .*{message}|{message}"):
        partition(ffn_input(MoEConfig(num_experts=5, split="mine")))


def test_names_and_needs(install: Install) -> None:
    for name, needs, message in (
        ("random", (), "the split 'random' is built in"),
        ("mine", ("gradient",), "did you mean 'gradients'"),
        ("mine", "activations", "must be a list"),
    ):
        with pytest.raises(ModelError, match=message):
            register_split(name, lambda inp: inp, needs=needs)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"split='randon' is not one of random, .*did you mean 'random'"):
        MoEConfig(split="randon")
