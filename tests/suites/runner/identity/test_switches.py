"""The names are written where the code reads them, too: one that nobody reads would switch nothing."""

import pytest

from sparsebench.models.native.forms import SWITCH, is_by_rules
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity.switches import OF_CELLS, VALUES, as_cells_have_it


def test_every_switch_is_read_by_somebody() -> None:
    assert {SWITCH} == set(OF_CELLS) == set(VALUES)


def test_values_are_those_that_their_reader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in VALUES[SWITCH]:
        monkeypatch.setenv(SWITCH, value)
        assert is_by_rules() == (as_cells_have_it(SWITCH) == "rules")
    monkeypatch.setenv(SWITCH, "rule")
    with pytest.raises(ValueError, match="measured or rules"):
        is_by_rules()
    with pytest.raises(UsageError, match="did you mean rules"):
        as_cells_have_it(SWITCH)
