"""Mistakes of the user are one kind of error, with near names."""

import pytest

from sparsebench.suites.runner.errors import UsageError, near


def test_near_names() -> None:
    assert near("lroa", ["lora", "cmoe"]) == "; did you mean lora?"
    assert near("zzz", ["lora", "cmoe"]) == "; known: cmoe, lora"
    many = [*(f"method {number}" for number in range(30)), "zebra"]
    assert near("zzz", many).startswith("; the nearest of 31 known names: zebra, ")
    with pytest.raises(ValueError, match="wrong"):
        raise UsageError("wrong")
