"""Removal of parts: all or nothing, and reported."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from sparsebench.models.anatomy import Wrapper, describe
from sparsebench.models.compression.trimming.dropped import Dropped, checked, drop_parts, size_of
from sparsebench.models.errors import ModelError

from ...zoo.text_families import MIXTURES, build, outputs


def mixture(family: str = "DeepseekV3") -> Any:
    return build(family, MIXTURES[family].names()[1])


@pytest.mark.parametrize("part", ["mlp", "attention"])
def test_the_report_says_what_went(part: Any) -> None:
    model = mixture()
    layer = model.model.layers[1]
    gone = [layer.mlp, layer.post_attention_layernorm] if part == "mlp" else [layer.self_attn, layer.input_layernorm]
    parameters = [parameter for module in gone for parameter in module.parameters()]
    found = drop_parts(model, [1], part)
    name = "mlp" if part == "mlp" else "self_attn"
    assert found == Dropped(
        part=part,
        blocks=(1,),
        paths=(f"model.layers.1.{name}",),
        parameters=sum(parameter.numel() for parameter in parameters),
        bytes=sum(parameter.nbytes for parameter in parameters),
    )
    assert not {id(parameter) for parameter in parameters} & {id(parameter) for parameter in model.parameters()}


def test_nothing_to_drop_leaves_the_model_and_its_class() -> None:
    model = mixture()
    kind, before = type(model), outputs(model)
    assert drop_parts(model, [], "mlp") == Dropped(part="mlp", blocks=(), paths=(), parameters=0, bytes=0)
    assert type(model) is kind and torch.equal(outputs(model), before)


def test_one_that_cannot_go_keeps_all() -> None:
    model = mixture()
    layer = model.model.layers[1]
    layer.mlp = Wrapper(layer.mlp)
    size = size_of(model)
    with pytest.raises(ModelError, match="take the adapters off first"):
        drop_parts(model, [0, 1], "mlp")
    assert size_of(model) == size and describe(model).blocks[0].mlp is not None
    drop_parts(model, [0], "mlp")
    with pytest.raises(ModelError, match=r"layers\.0 has no FFN"):
        drop_parts(model, [0], "mlp")


@pytest.mark.parametrize("blocks", [[2], [-1], [0, 0]])
def test_blocks_that_are_not_there_are_refused(blocks: list[int]) -> None:
    model = mixture()
    with pytest.raises(ModelError, match=r"must be different blocks of 0\.\.1"):
        drop_parts(model, blocks, "mlp")
    assert checked([1, 0], describe(model)) == (0, 1)


def test_many_blocks_print_as_one_line() -> None:
    blocks = tuple(range(80))
    paths = tuple(f"model.layers.{block}.mlp" for block in blocks)
    report = Dropped(part="mlp", blocks=blocks, paths=paths, parameters=12345, bytes=24690)
    assert repr(report) == (
        "Dropped(mlp of blocks 0, 1, 2, 3, 4, 5, 6, 7 and 72 more; 12,345 parameters, 24,690 bytes fewer)"
    )
    assert repr(replace(report, blocks=())).startswith("Dropped(mlp of blocks none;")
    assert report == replace(report) != replace(report, paths=())
