"""The kernels, where this machine can have them."""

import pytest

from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels, kernels, status


@pytest.fixture
def library() -> PackedKernels:
    """Skips where there are none: products then take the dense weights, which other tests look at."""
    found = kernels()
    if found is None:
        pytest.skip(status())
    return found
