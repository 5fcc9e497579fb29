"""Every text family, converted or a mixture from the start: what a probe sees, and that padding never counts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.moe import MoEConfig, aux_loss, convert, routing_probe
from sparsebench.models.moe.routing.probe import LayerRouting

from .text_families import FAMILIES, MIXTURES, build

LENGTHS = (7, 4)
CONFIG = MoEConfig(num_experts=4, top_k=2, balance="switch", balance_coef=1.0)


def rows() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 32, (1, length), generator=generator) for length in LENGTHS]


def decoder_inputs(model: Any, batch: int) -> dict[str, Tensor]:
    """A decoder behind an encoder reads one token of each row: nothing is padding there."""
    if not getattr(model.config, "is_encoder_decoder", False):
        return {}
    return {"decoder_input_ids": torch.full((batch, 1), 5)}


def alone(model: Any) -> None:
    """Each row by itself."""
    for row in rows():
        model(input_ids=row, **decoder_inputs(model, 1))


def padded(model: Any, filler: int) -> None:
    """Both rows in one batch, padded on the right."""
    ids = torch.full((2, max(LENGTHS)), filler)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows()):
        ids[place, : row.shape[1]] = row
        mask[place, : row.shape[1]] = 1
    model(input_ids=ids, attention_mask=mask, **decoder_inputs(model, 2))


def probed(model: nn.Module, work: Callable[[nn.Module], None]) -> dict[str, LayerRouting]:
    with torch.no_grad(), routing_probe(model) as probe:
        work(model)
    return probe.layers


def check_padding(model: Any) -> None:
    expected = probed(model, alone)
    assert {stats.tokens for stats in expected.values()} <= {sum(LENGTHS), 2}
    for filler in (4, 9):
        found = probed(model, lambda model, filler=filler: padded(model, filler))
        assert found.keys() == expected.keys()
        for path, stats in found.items():
            assert (stats.tokens, stats.dead) == (expected[path].tokens, expected[path].dead)
            torch.testing.assert_close(stats.load, expected[path].load)
            torch.testing.assert_close(stats.importance, expected[path].importance, atol=1e-6, rtol=1e-5)
            assert stats.token_entropy == pytest.approx(expected[path].token_entropy, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_converted_models(family: str) -> None:
    model: Any = build(family, FAMILIES[family].names()[0])
    blocks = describe(model).blocks
    convert(model, CONFIG)
    check_padding(model)
    found = probed(model, alone)
    assert len(found) == len(blocks)
    assert all(stats.load.max() <= 0.5 for stats in found.values()), "a token's two experts are different ones"
    losses = []
    for filler in (4, 9):
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same dropout
            padded(model.train(), filler)
        losses.append(aux_loss(model).detach())
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("family", MIXTURES)
def test_mixtures(family: str) -> None:
    check_padding(build(family, MIXTURES[family].names()[0]))
