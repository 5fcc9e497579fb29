"""The names are written where the code reads them, too: one that nobody reads would switch nothing."""

from sparsebench.models.native.forms import SWITCH
from sparsebench.suites.runner.identity.switches import OF_CELLS


def test_every_switch_is_read_by_somebody() -> None:
    assert {SWITCH} == set(OF_CELLS)
