"""The budget of a cell."""

import pytest

from sparsebench.suites.contracts.budget import Budget

NAN = float("nan")


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, NAN])
def test_a_share_lies_in_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="train_fraction"):
        Budget(train_fraction=share)


def test_the_whole_training_part_is_the_default_and_any_smaller_fraction_is_allowed() -> None:
    assert Budget().train_fraction == 1.0
    assert Budget(train_fraction=1e-3).train_fraction == 1e-3
