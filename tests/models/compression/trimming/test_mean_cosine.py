"""Mean cosines against torch's own in float64, and what near ties become in bfloat16."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.compression.trimming.mean_cosine import MeanCosine, cosine
from sparsebench.models.errors import ModelError


def pair(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64)
    b = a + 0.3 * torch.randn(2, 5, 8, generator=generator, dtype=torch.float64)
    return a.to(dtype), b.to(dtype)


def test_the_mean_is_that_of_the_real_tokens_of_all_batches() -> None:
    a, b = pair()
    real = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    mean = MeanCosine(torch.float64)
    mean.add(a, b, real)
    mean.add(b, -a)
    wanted = torch.cat((F.cosine_similarity(a[real], b[real], dim=-1), F.cosine_similarity(b, -a, dim=-1).flatten()))
    assert mean.tokens == 18
    assert mean.value("here") == pytest.approx(float(wanted.mean()), abs=1e-15)


def test_narrow_states_are_compared_in_float32() -> None:
    a, b = pair(torch.bfloat16)
    mean = MeanCosine()
    mean.add(a, b)
    wanted = F.cosine_similarity(a.double(), b.double(), dim=-1).mean()
    assert mean.value("here") == pytest.approx(float(wanted), abs=1e-6)


def test_zeros_and_small_vectors() -> None:
    a = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1e-30, 0.0], [3e-30, 4e-30]])
    b = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1e-30, 0.0], [4e-30, 3e-30]])
    torch.testing.assert_close(cosine(a.double(), b.double()), torch.tensor([1.0, 0.0, 1.0, 0.96]).double())


def at_angle(cosine: float) -> tuple[Tensor, Tensor]:
    """Vectors of so large a cosine."""
    return torch.tensor([[[1.0, 0.0]]]).double(), torch.tensor([[[cosine, (1 - cosine**2) ** 0.5]]]).double()


def test_near_ones_tie_in_bfloat16_as_in_the_release_but_not_in_float32() -> None:
    """The released code sorts cosines in bfloat16, which lie 0.0039 apart near 1: ties, in the order of chance."""
    found: dict[torch.dtype, list[float]] = {torch.bfloat16: [], torch.float32: []}
    for value in (0.9945, 0.9975):
        for dtype, means in found.items():
            mean = MeanCosine(dtype)
            mean.add(*at_angle(value))
            means.append(mean.value("here"))
    assert found[torch.bfloat16] == [255 / 256, 255 / 256]
    assert found[torch.float32] == pytest.approx([0.9945, 0.9975], abs=1e-6)


def test_no_token_nan_and_other_dtypes_are_refused() -> None:
    a, b = pair()
    mean = MeanCosine()
    mean.add(a, b, torch.zeros(2, 5, dtype=torch.bool))
    with pytest.raises(ModelError, match=r"no token for model\.layers\.3"):
        mean.value("model.layers.3")
    mean.add(a * torch.nan, b)
    with pytest.raises(ModelError, match=r"hidden states at model\.layers\.3 are NaN or infinite"):
        mean.value("model.layers.3")
    with pytest.raises(ModelError, match=r"dtype=torch\.float16 must be"):
        MeanCosine(torch.float16)
