import pytest

from sparsebench.models.dynamic import DynamicConfig
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_kernels": 0}, "num_kernels=0: a dynamic layer has at least one kernel"),
        ({"noise": -0.1}, r"noise=-0.1: a fraction"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"blocks": "last"}, "blocks='last': indices of blocks, or 'all'"),
    ],
)
def test_what_cannot_work(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        DynamicConfig(**options)
