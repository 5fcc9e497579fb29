from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import remove_dead_units
from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.pruning.adapter_units import pairs
from sparsebench.models.adapters.pruning.report import describe_pruning
from sparsebench.models.adapters.pruning.sparsify import sparsify
from sparsebench.models.sparsity.bottleneck_units import Pair, unit_sums
from sparsebench.models.sparsity.masked import Masked, MaskedLinear

from ..pruning_tools import LORA

Build = Callable[[str], nn.Module]


def test_the_report_counts_dead_units(build: Build) -> None:
    adapters = attach(build("timm_vit"), LORA)
    report = sparsify(adapters, method="random", density=0.02, generator=torch.Generator().manual_seed(0))
    by_hand = 0
    for pair in pairs(adapters):
        masks: list[Tensor] = [pair.down.mask, pair.up.mask]
        by_hand += sum(not (masks[0][j].any() and masks[1][:, j].any()) for j in range(4))
        assert isinstance(pair.down, Masked) and unit_sums(masks[0].long(), 0).shape == (4,)
    assert (
        report.dead_units
        == by_hand
        == sum(remove_dead_units(adapters).values()) + sum(pair.down.stored.numel() == 0 for pair in pairs(adapters))
    )


def test_what_is_left_of_each_layer() -> None:
    down, up = MaskedLinear(3, 2), MaskedLinear(2, 3)
    down.prune(torch.tensor([[True, True, False], [False, False, False]]))
    pair = Pair(name="p", owner=nn.Sequential(down, up), down=down, up=up)
    found = describe_pruning(
        {"down": down, "up": up}, {"down": 6, "up": 6}, [pair], method="magnitude", density=0.75, ties=4
    )
    assert [(layer.name, layer.kept, layer.total) for layer in found.layers] == [("down", 2, 6), ("up", 6, 6)]
    assert (found.kept, found.total, found.ties, found.dead_units) == (8, 12, 4, 1)
    assert found.layers[0].density == pytest.approx(1 / 3) and found.sparsity == 0.25
