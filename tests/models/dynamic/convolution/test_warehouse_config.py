import pytest

from sparsebench.models.dynamic.convolution.warehouse_config import WarehouseConfig
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "budget=0: cells of a warehouse"),
        ({"budget": float("nan")}, "budget=nan"),
        ({"reduction": 0}, "reduction=0"),
        ({"num_kernels": 8}, "cells, not kernels"),
        ({"noise": 0.1}, "cells, not kernels"),
    ],
)
def test_what_cannot_work(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        WarehouseConfig(**options)
