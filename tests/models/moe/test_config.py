import pytest

from sparsebench.models.moe.config import MoEConfig


@pytest.mark.parametrize(("scale", "value"), [("paper", 4.0), ("exact", 2.0), ("norm", 4.0), (1.5, 1.5)])
def test_scale_values(scale: str | float, value: float) -> None:
    assert MoEConfig(num_experts=8, top_k=2, scale=scale).scale_value == value


def test_scale_counts_routed_experts_only() -> None:
    assert MoEConfig(num_experts=8, num_shared=2, top_k=2, scale="paper").scale_value == 3.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": 9}, r"top_k=9 must lie in 1\.\.8"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_k": 7, "num_shared": 2}, r"1\.\.6"),
        ({"split": "sequental"}, "did you mean 'sequential'"),
        ({"score": "sigmoid"}, "is not one of"),
        ({"scale": "papr"}, "did you mean 'paper'"),
        ({"num_shared": -1}, "cannot be negative"),
    ],
)
def test_bad_values(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MoEConfig(**fields)
