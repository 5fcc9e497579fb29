"""Settings that cannot work are refused, with the value."""

from typing import Any

import pytest

from sparsebench.models.dynamic.linear.config import MixtureConfig
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"level": "word"}, "word"),
        ({"targets": ()}, "targets"),
        ({"targets": ("gate", "fc1")}, "fc1"),
        ({"expert_init": "zeros"}, "zeros"),
        ({"gate_init": "ones"}, "ones"),
        ({"top_k": 9}, "top_k=9"),
        ({"top_k": 0}, "top_k=0"),
        ({"num_kernels": 0}, "0"),
        ({"balance_coef": -1.0}, "-1.0"),
        ({"straight_through": True}, "straight_through"),
        ({"blocks": "last"}, "last"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        MixtureConfig(**settings)


def test_the_gate_is_that_of_the_paper() -> None:
    gate = MixtureConfig().routing
    assert (gate.num_experts, gate.top_k, gate.noise, gate.balance) == (8, 2, "shazeer", "cv2")
    assert gate.balance_coef == 0.01
    assert gate.scale_value == 1
