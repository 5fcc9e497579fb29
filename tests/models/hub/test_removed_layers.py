"""Removed layers as a part of a model."""

from collections.abc import Callable

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.hub.removed_layers import RemovedLayers


def test_what_is_described_is_removed(build: Callable[[str], nn.Module]) -> None:
    part = RemovedLayers()
    for family in ("llama", "bert"):
        model = build(family)
        blocks = describe(model).blocks
        blocks[0].remove_attention()
        blocks[1].remove_mlp()
        assert part.describe(model) == {"mlp": [1], "attention": [0]}
        other = build(family)
        assert not any(map(part.holds, other.modules()))
        part.build(other, part.describe(model))
        assert part.describe(other) == part.describe(model)
        assert other.state_dict().keys() == model.state_dict().keys()
