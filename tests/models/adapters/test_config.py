from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from sparsebench.models.adapters.config import KINDS, AdapterConfig, CombinedConfig, RankConfig
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.fusion import FusionConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.layer import AdapterLayer
from sparsebench.models.anatomy import Block, Site, describe
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]


def test_chosen_blocks_are_the_last(build: Build) -> None:
    anatomy = describe(build("bert"))
    assert AdapterConfig().chosen(anatomy) == anatomy.blocks
    assert AdapterConfig(blocks=1).chosen(anatomy) == anatomy.blocks[1:]
    with pytest.raises(ModelError, match="blocks=3 exceeds the 2 blocks"):
        AdapterConfig(blocks=3).chosen(anatomy)


@pytest.mark.parametrize("blocks", [0, -1, True, 1.0, "last"])
def test_bad_numbers_of_blocks(blocks: object) -> None:
    with pytest.raises(ModelError, match="must be 'all' or a number of last blocks, at least 1"):
        AdapterConfig(blocks=blocks)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"r": 0}, "r=0 must be"), ({"r": 1.5}, "r=1.5 must be"), ({"init": "zeroup"}, "did you mean 'zero_up'")],
)
def test_bad_ranks_and_starts(fields: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        RankConfig(**fields)


def test_parts_are_placed_in_order(build: Build) -> None:
    parts = (LoRAConfig(r=2, blocks=1), BottleneckConfig(r=2))
    anatomy = describe(build("bert"))
    generator = torch.Generator().manual_seed(0)
    placed = list(CombinedConfig(parts=parts).place(anatomy, generator))
    expected = [*parts[0].place(anatomy, generator), *parts[1].place(anatomy, generator)]
    assert [site.path for site, _ in placed] == [site.path for site, _ in expected] and len(placed) == 4


def test_a_combination_uses_what_its_parts_use() -> None:
    parts = (FusionConfig(adapters=("a", "b")), LoRAConfig(), FusionConfig(adapters=("b", "c")))
    assert CombinedConfig(parts=parts).uses() == ("a", "b", "c") and LoRAConfig().uses() == ()


@pytest.mark.parametrize("parts", [(), ("lora",)])
def test_bad_parts(parts: tuple) -> None:
    with pytest.raises(ModelError, match="must be one or more adapter configurations"):
        CombinedConfig(parts=parts)
    with pytest.raises(ModelError, match="give each part its own"):
        CombinedConfig(parts=(LoRAConfig(),), blocks=1)


def test_a_kind_is_known_by_its_name_and_must_say_where_it_goes(build: Build) -> None:
    @dataclass(frozen=True, kw_only=True)
    class OfThisTest(AdapterConfig):
        """Says nothing."""

    try:
        assert KINDS["OfThisTest"] is OfThisTest
        with pytest.raises(NotImplementedError, match="OfThisTest must implement place_in or place"):
            list(OfThisTest().place(describe(build("bert")), torch.Generator()))
    finally:
        del KINDS["OfThisTest"]


def test_place_in_is_called_for_the_chosen_blocks(build: Build) -> None:
    class Seen(AdapterConfig):
        def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
            yield block.site, AdapterLayer(block.site.get())

    try:
        found = list(Seen(blocks=1).place(describe(build("llama")), torch.Generator()))
        assert [site.path for site, _ in found] == ["model.layers.1"]
    finally:
        del KINDS["Seen"]
