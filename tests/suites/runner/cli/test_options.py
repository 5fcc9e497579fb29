"""The shared options."""

from typing import get_args

from sparsebench.suites.runner.cli.options import ReuseChoice
from sparsebench.suites.runner.planning.plan import Reuse


def test_the_choices_of_reuse_are_those_of_the_plan() -> None:
    assert {choice.value for choice in ReuseChoice} == set(get_args(Reuse))
