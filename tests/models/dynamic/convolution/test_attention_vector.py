"""Factors of an attention: the formula, constants in the place of some of them, the deployed form."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.dynamic.convolution.attention_vector import AttentionVector
from sparsebench.models.errors import ModelError

from .reference import shaken

TEMPERATURE = torch.tensor(2.0, dtype=torch.float64)


def hidden() -> Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).relu()


def vector(mask: Tensor | None = None, scale: str = "both") -> AttentionVector:
    """Four hidden units, three channels, nothing as it starts."""
    made = AttentionVector(4, 3).double()
    if mask is not None:
        made.set_partition(mask, scale=scale)  # type: ignore[arg-type]
    shaken(made)
    return made


def test_masks_on_attentions() -> None:
    """λ_d M ⊙ sigmoid(fc / τ) + λ_s (1 - M) ⊙ static."""
    made = vector(torch.tensor([True, False, True]))
    assert made.partition is not None
    scale = 2 * torch.sigmoid(made.partition.phi)
    whole = torch.sigmoid((hidden() @ made.fc.weight.T + made.fc.bias) / 2)
    expected = scale * whole
    expected[:, 1] = (2 - scale) * made.partition.static[1]
    torch.testing.assert_close(made(hidden(), TEMPERATURE), expected)


def test_masks_of_whole_rows_are_what_the_released_formula_can_say() -> None:
    """(2 - φ) s + φ sigmoid(((M ⊙ W) h + b) / τ), as released, for a mask of rows and s = 0 where it is dynamic."""
    mask = torch.tensor([True, False, True])
    made = vector(mask)
    assert made.partition is not None
    phi = made.partition.lambda_dynamic.detach()
    static = torch.randn(3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * ~mask
    weight = made.fc.weight.detach() * mask[:, None]
    released = (2 - phi) * static + phi * torch.sigmoid((hidden() @ weight.T + made.fc.bias.detach()) / 2)
    constant = static + phi / (2 - phi) * torch.sigmoid(made.fc.bias.detach() / 2)
    made.partition.static.data.copy_(constant)
    torch.testing.assert_close(made(hidden(), TEMPERATURE).detach(), released)


def test_constants_start_as_the_factors_of_a_hidden_vector_of_zeros() -> None:
    made = vector()
    expected = torch.sigmoid(made.fc.bias.detach() / TEMPERATURE)
    torch.testing.assert_close(made.static_start(TEMPERATURE), expected)
    torch.testing.assert_close(made.at_rest(TEMPERATURE), expected)
    torch.testing.assert_close(made.static_start(), torch.sigmoid(made.fc.bias.detach()))
    made.set_partition(torch.zeros(3, dtype=torch.bool), static=torch.full((3,), 0.25, dtype=torch.float64))
    assert made.at_rest(TEMPERATURE).tolist() == [0.25] * 3


@pytest.mark.parametrize("scale", ["both", "none", "pruned"])
@pytest.mark.parametrize("dynamic", [0, 1, 3])
def test_the_deployed_form_computes_the_same(dynamic: int, scale: str) -> None:
    made = vector(torch.arange(3) < dynamic, scale)
    before = made(hidden(), TEMPERATURE)
    rest = made.at_rest(TEMPERATURE)
    made.take_compact_form()
    torch.testing.assert_close(made(hidden(), TEMPERATURE), before)
    torch.testing.assert_close(made.at_rest(TEMPERATURE), rest)
    assert made.partition is None and made.fc is None and made.weight_shape == (3,)
    with pytest.raises(ModelError, match="compact form already"):
        made.take_compact_form()


def test_without_a_partition_there_is_no_deployed_form() -> None:
    made = vector()
    with pytest.raises(ModelError, match="no partition"):
        made.take_compact_form()
    assert made.fc is not None
