"""Configuration of attention experts: its own fields and what it has of the router's."""

import dataclasses

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.config import AttnMoEConfig


def test_the_scale_counts_all_experts() -> None:
    assert AttnMoEConfig(num_experts=8, top_k=4, scale="paper").scale_value == 2.0
    assert AttnMoEConfig(num_experts=8, top_k=7).scale_value == 7.0


def test_stored_flat() -> None:
    config = AttnMoEConfig(num_experts=4, top_k=3, mode="keep_kv", balance="switch", scale=4.0, seed=3)
    assert AttnMoEConfig(**dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "keep"}, "did you mean 'keep_kv'"),
        ({"router_init": "energy"}, "is not one of random, zeros"),
        ({"scale": "calibrated"}, "is not one of paper, norm, exact"),
        ({"top_k": 9}, r"top_k=9 must lie in 1\.\.8"),
        ({"balance_coef": -1.0}, "must be 0 or more"),
    ],
)
def test_bad_values(fields: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        AttnMoEConfig(**fields)


def test_nothing_is_shared_in_attention() -> None:
    with pytest.raises(TypeError, match="num_shared"):
        AttnMoEConfig(num_shared=1)  # type: ignore[call-arg]
