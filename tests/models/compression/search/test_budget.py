"""Budgets: one of two, a share."""

import pytest

from sparsebench.models.compression.search.budget import Budget
from sparsebench.models.errors import ModelError


def test_one_of_the_two() -> None:
    assert (Budget(bytes=0.4).kind, Budget(bytes=0.4).fraction) == ("bytes", 0.4)
    assert (Budget(active=1.0).kind, Budget(active=1.0).fraction) == ("active", 1.0)


@pytest.mark.parametrize("fields", [{}, {"bytes": 0.5, "active": 0.5}])
def test_none_and_both_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="name one of the two budgets"):
        Budget(**fields)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_no_share(share: float) -> None:
    with pytest.raises(ModelError, match=rf"active={share}, a fraction of the model as it is, must lie in \(0, 1\]"):
        Budget(active=share)
