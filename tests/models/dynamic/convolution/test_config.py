import pytest

from sparsebench.models.dynamic import ConvConfig
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "dyconv"}, "did you mean 'dy_conv'"),
        ({"which": "1x1"}, "which='1x1' is not one of all, spatial"),
        ({"reduction": 0}, "reduction=0"),
        ({"temperature": 0.0}, "temperature=0.0: logits are divided by it"),
        ({"num_kernels": 0}, "num_kernels=0"),
    ],
)
def test_what_cannot_work(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ConvConfig(**options)
