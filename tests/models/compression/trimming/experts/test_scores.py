"""Scores by hand."""

import math

import pytest
import torch

from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.compression.trimming.experts.scores import SCORES, expert_scores
from sparsebench.models.errors import ModelError


def layer(**other: object) -> LayerStatistics:
    """Ten tokens, top-2 of three experts; nobody chose the last one."""
    zeros = torch.zeros(3, 2, dtype=torch.float64)
    values = {
        "layer": "mlp",
        "block": 0,
        "top_k": 2,
        "tokens": 10,
        "counts": torch.tensor([8, 2, 0]),
        "weight": torch.tensor([6.0, 1.0, 0.0], dtype=torch.float64),
        "norm": torch.tensor([4.0, 6.0, 0.0], dtype=torch.float64),
        "weighted_norm": torch.tensor([2.4, 1.0, 0.0], dtype=torch.float64),
        "renormalised_norm": torch.tensor([3.2, 3.0, 0.0], dtype=torch.float64),
        "output": torch.tensor([[8.0, 0.0], [4.0, 4.0], [0.0, 0.0]], dtype=torch.float64),
        "output_square": torch.tensor([[16.0, 8.0], [10.0, 8.0], [0.0, 0.0]], dtype=torch.float64),
        "probability": torch.tensor([5.0, 4.0, 1.0], dtype=torch.float64),
        "gated_norm": torch.tensor([1.6, 2.0, 0.0], dtype=torch.float64),
        "logit_products": zeros,
    }
    return LayerStatistics(**{**values, **other})  # type: ignore[arg-type]


EXPECTED = {
    "router": [0.5, 0.4, 0.1],
    "router_topk": [0.6, 0.1, 0.0],
    "frequency": [0.8, 0.2, 0.0],
    "ean": [4.0, 6.0, 0.0],
    "reap": [0.2, 1.0, 0.0],
    "reap_softmax": [0.2, 1.0, 0.0],
    "reap_renormalised": [0.4, 1.5, 0.0],
    # Variances: (16 / 8 - 1) + 8 / 8 = 2 and (10 / 2 - 4) + (8 / 2 - 4) = 1.
    "frequency_variance": [1.6, 0.2, 0.0],
    # Mean weights 0.6 and 0.1 times the square roots of these variances.
    "mone": [0.6 * math.sqrt(2), 0.1, 0.0],
}


@pytest.mark.parametrize("score", EXPECTED)
def test_each_score(score: str) -> None:
    found = expert_scores([layer(), layer()], score)  # type: ignore[arg-type]
    expected = torch.tensor(EXPECTED[score], dtype=torch.float64)
    assert len(found) == 2
    torch.testing.assert_close(found[0], expected)
    reversed_scores = expert_scores([layer()], score, reverse=True)[0]  # type: ignore[arg-type]
    torch.testing.assert_close(reversed_scores, -expected)
    assert found[0].dtype == torch.float64


def test_reap_takes_the_gate_values_that_the_router_computes() -> None:
    """A router of sigmoids has no softmax: its own weights, unless the released form is asked for."""
    sigmoids = layer(softmax=False)
    expected = torch.tensor([0.3, 0.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(expert_scores([sigmoids], "reap")[0], expected)
    torch.testing.assert_close(expert_scores([layer(softmax=False, gated_norm=None)], "reap")[0], expected)
    assert torch.equal(expert_scores([sigmoids], "reap_softmax")[0], expert_scores([layer()], "reap")[0])


def test_no_score_is_missing() -> None:
    assert set(SCORES) == {*EXPECTED, "random"}


def test_random_scores_are_those_of_the_generator() -> None:
    first, second, third = (
        torch.cat(expert_scores([layer(), layer()], "random", generator=torch.Generator().manual_seed(seed)))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second) and not torch.equal(first, third) and len(first.unique()) == 6


@pytest.mark.parametrize("score", ["router", "reap", "reap_softmax"])
def test_scores_that_need_logits_are_refused_without(score: str) -> None:
    bare = layer(probability=None, gated_norm=None)
    with pytest.raises(ModelError, match=rf"score='{score}': the router of mlp gives no logits"):
        expert_scores([bare], score)  # type: ignore[arg-type]
    assert math.isclose(expert_scores([bare], "reap_renormalised")[0][1], 1.5)


def test_unknown_scores_and_chance_without_a_generator_are_refused() -> None:
    with pytest.raises(ModelError, match="score='random' draws numbers: pass generator="):
        expert_scores([layer()], "random")
    with pytest.raises(ModelError, match="did you mean 'reap'"):
        expert_scores([layer()], "reep")  # type: ignore[arg-type]
