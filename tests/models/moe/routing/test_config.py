"""What a router alone is configured with; the checks of mixtures are in `moe/test_config.py`."""

import dataclasses

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.routing.config import RoutingConfig, check_positive


@pytest.mark.parametrize(
    ("scale", "value"), [("paper", 4.0), ("exact", 2.0), ("calibrated", 2.0), ("norm", 4.0), (1.5, 1.5), (3, 3.0)]
)
def test_scale_values(scale: str | float, value: float) -> None:
    assert RoutingConfig(num_experts=8, top_k=2, scale=scale).scale_value == value


def test_all_experts_are_routed() -> None:
    assert RoutingConfig(num_experts=6).num_routed == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_experts": 0}, "num_experts=0 must be 1 or more"),
        ({"top_k": 9}, r"top_k=9 must lie in 1\.\.8"),
        ({"top_k": 0}, "top_k=0"),
        ({"score": "sigmoyd"}, "did you mean 'sigmoid'"),
        ({"noise": "shazer"}, "did you mean 'shazeer'"),
        ({"balance": "swich"}, "did you mean 'switch'"),
        ({"scale": "papr"}, "did you mean 'paper'"),
        ({"scale": float("inf")}, "must be a positive number"),
        ({"balance_coef": float("nan")}, "must be 0 or more"),
        ({"balance": "biass"}, "did you mean 'bias'"),
        ({"z_coef": -1.0}, "z_coef=-1.0 must be 0 or more"),
        ({"bias_rate": 0.0}, "bias_rate=0.0 must be a positive number"),
        ({"straight_through": True}, "top_k=2"),
        ({"straight_through": True, "top_k": 1, "score": "sigmoid"}, "score='sigmoid'"),
    ],
)
def test_bad_values(fields: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        RoutingConfig(**fields)


def test_straight_through_with_the_weights_it_is_for() -> None:
    assert RoutingConfig(straight_through=True, top_k=1).straight_through
    assert RoutingConfig(straight_through=True, top_k=1, score="softmax_topk").straight_through


@pytest.mark.parametrize(
    ("fields", "has_loss", "counts_tokens"),
    [
        ({}, False, False),
        ({"balance": "cv2"}, True, True),
        ({"balance": "switch"}, True, True),
        ({"balance": "bias"}, False, True),
        ({"z_coef": 0.1}, True, True),
        ({"densemixer": True}, False, False),
    ],
)
def test_what_training_has_to_know(fields: dict, has_loss: bool, counts_tokens: bool) -> None:
    config = RoutingConfig(**fields)
    assert (config.has_loss, config.counts_tokens) == (has_loss, counts_tokens)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_numbers_that_are_not_positive(value: float) -> None:
    with pytest.raises(ModelError, match="capacity="):
        check_positive("capacity", value)


@pytest.mark.parametrize("kind", [MoEConfig, AttnMoEConfig])
def test_mixtures_of_ffns_and_of_heads_have_every_field(kind: type) -> None:
    """Their configurations are stored flat, so each field of the router is one of theirs, under the same name."""
    routing = {field.name for field in dataclasses.fields(RoutingConfig)}
    assert routing < dataclasses.asdict(kind()).keys()
