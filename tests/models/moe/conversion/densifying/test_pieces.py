"""Which experts stay with which constants, by hand; pieces side by side are their sum."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.anatomy import ExpertWeights
from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.conversion.densifying.pieces import choose, joined


def seen(counts: list[int], weight: list[float], tokens: int = 10, top_k: int = 2) -> LayerStatistics:
    nothing: Any = torch.zeros(len(counts), dtype=torch.float64)
    names = ("norm", "weighted_norm", "renormalised_norm", "output", "output_square")
    return LayerStatistics(
        layer="mlp",
        block=0,
        top_k=top_k,
        tokens=tokens,
        counts=torch.tensor(counts),
        weight=torch.tensor(weight, dtype=torch.float64),
        **dict.fromkeys(names, nothing),
    )


def test_the_most_used_stay_at_the_mean_weight_of_all() -> None:
    """Weights of a token sum to 1 in the mean; experts 1 and 3 have .4 and .2 of it."""
    kept = choose(seen([3, 8, 2, 7], [2.5, 4.0, 1.5, 2.0]), "active", "frequency")
    assert kept.experts == (1, 3)
    assert kept.coefficients == pytest.approx((2 / 3, 1 / 3))
    assert choose(seen([3, 8, 2, 7], [2.5, 4.0, 1.5, 2.0]), "active", "conditional").experts == (0, 2)
    everything = choose(seen([3, 8, 2, 7], [2.5, 4.0, 1.5, 2.0]), "total", "frequency")
    assert everything.coefficients == pytest.approx((0.25, 0.4, 0.15, 0.2))


def test_without_tokens_nothing_is_known() -> None:
    with pytest.raises(ModelError, match="saw no token"):
        choose(seen([0, 0], [0.0, 0.0], tokens=0), "total", "frequency")


def ffn(hidden: int, seed: int, *, bias: bool = False) -> ExpertWeights:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    own = draw(hidden) if bias else None
    return ExpertWeights(draw(hidden, 4), draw(hidden, 4), draw(4, hidden), own, own)


def output(weights: ExpertWeights, x: Tensor) -> Tensor:
    gate = F.linear(x, weights.gate, weights.gate_bias)  # type: ignore[arg-type]
    return F.silu(gate) * F.linear(x, weights.up, weights.up_bias) @ weights.down.T


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("width", [8, 11])
def test_one_ffn_is_the_weighted_sum(bias: bool, width: int) -> None:
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    pieces = [(ffn(3, 0, bias=bias), 1.0), (ffn(5, 1, bias=bias), 0.25)]
    one = joined(pieces, width)
    assert one.up.shape == (width, 4)
    torch.testing.assert_close(output(one, x), output(pieces[0][0], x) + 0.25 * output(pieces[1][0], x))


def test_what_cannot_be_one_ffn() -> None:
    with pytest.raises(ModelError, match="8 neurons do not fit into 7"):
        joined([(ffn(3, 0), 1.0), (ffn(5, 1), 1.0)], 7)
    with pytest.raises(ModelError, match="others lack"):
        joined([(ffn(3, 0), 1.0), (ffn(5, 1, bias=True), 1.0)], 8)
    with pytest.raises(ModelError, match="biases of their down projections"):
        joined([(ffn(3, 0)._replace(down_bias=torch.zeros(4)), 1.0)], 3)
