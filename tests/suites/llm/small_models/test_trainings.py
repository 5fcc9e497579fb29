"""Which training an argument means."""

import pytest

from sparsebench.suites.llm.small_models.trainings import training


def test_an_argument_is_the_number_of_a_training() -> None:
    digests = {0: "ab", 2: "cd"}
    assert training("net", None, digests) == (0, "ab")
    assert training("net", "2", digests) == (2, "cd")
    for argument in ("1", "two", "-0", "00"):
        with pytest.raises(ValueError, match=f"^net:{argument}: no such training .* those that do: 0, 2$"):
            training("net", argument, digests)
    with pytest.raises(ValueError, match=r"net:0: .*: none$"):
        training("net", None, {})
