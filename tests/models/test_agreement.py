"""What agrees, what does not, and what is heard of it."""

import pytest
import torch

from .agreement import agree, figures

ONE = torch.tensor([1.0, -4.0])


@pytest.mark.parametrize(
    ("found", "within", "holds"),
    [
        (ONE, 0.0, True),
        (ONE + 2e-6, 1e-6, True),
        (ONE + 8e-6, 1e-6, False),
        (ONE + 1e-6, 0.0, False),
        (torch.tensor([1.0, torch.nan]), 1e-6, False),
        (torch.tensor([1.0, torch.inf]), 1e-6, False),
    ],
)
def test_a_difference_beyond_what_is_allowed_fails_and_is_heard(
    found: torch.Tensor, within: float, holds: bool
) -> None:
    with figures() as heard:
        try:
            agree(found, ONE, "logits", within=within, where="block 1")
        except AssertionError as error:
            assert not holds and str(error).startswith("block 1: ")
        else:
            assert holds
    (figure,) = heard
    assert (figure.what, figure.scale, figure.allowed, figure.holds) == ("logits", 4.0, 4 * within, holds)


def test_what_cannot_be_compared() -> None:
    with figures() as heard:
        for other, within in ((torch.ones(3), 0.0), (ONE.double(), 0.0), (torch.zeros(2), 1e-6)):
            with pytest.raises(AssertionError):
                agree(ONE, other, "logits", within=within)
    assert not heard
    both = torch.tensor([1.0, -torch.inf])
    agree(both, both.clone(), "scores")
