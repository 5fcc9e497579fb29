"""Which file of a traceback is a user's own."""

import runpy
from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery.own_frames import own_place
from sparsebench.suites.runner.discovery.validation import build
from sparsebench.suites.runner.errors import UsageError

OWN = """
import json
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    factor: int = 1

    def __post_init__(self):
        {}["factor"]

def prepare(text):
    return json.loads(text)
"""


@pytest.fixture
def mine(tmp_path: Path) -> dict:
    """What a module of a user's defines."""
    file = tmp_path / "mymethod.py"
    file.write_text(OWN)
    return runpy.run_path(str(file))


def test_the_last_own_line_is_where_a_library_was_called(mine: dict) -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        mine["prepare"]("{")
    assert own_place(caught.value) == " (mymethod.py:13)"
    assert own_place(ValueError("never raised")) == ""


def test_installed_packages_are_nobody_s_own(tmp_path: Path) -> None:
    file = tmp_path / "site-packages" / "other.py"
    file.parent.mkdir()
    file.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError) as caught:
        runpy.run_path(str(file))
    # Without the frame of this test, which is an own one.
    assert own_place(caught.value.with_traceback(caught.tb.tb_next)) == ""


def test_a_config_that_breaks_in_its_own_checks_says_where(mine: dict) -> None:
    with pytest.raises(UsageError) as caught:
        build(mine["Mine"], {}, "method 'mine'")
    assert str(caught.value) == "method 'mine': KeyError: 'factor' (mymethod.py:10)"
