"""Mistakes of the user are one kind of error, with near names."""

import pytest

from sparsebench.suites.runner.errors import UsageError, near


def test_near_names() -> None:
    assert near("lroa", ["lora", "cmoe"]) == "; did you mean lora?"
    assert near("zzz", ["lora", "cmoe"]) == "; known: cmoe, lora"
    with pytest.raises(ValueError, match="wrong"):
        raise UsageError("wrong")
