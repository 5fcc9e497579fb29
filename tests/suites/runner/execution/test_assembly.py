"""A cell's score from names: options reach the method, and what is not there is refused."""

from dataclasses import replace

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution import assembly
from sparsebench.suites.runner.execution.assembly import score_cell
from tests.suites.runner.cells import INFO


def test_names_and_options_become_what_is_scored(monkeypatch) -> None:
    monkeypatch.setattr(assembly, "score", lambda *arguments: arguments)
    info = replace(INFO, suite="vtab", method="lora", config={"rank": 3}, backbone="tiny")
    given, chain, task, loaders, device, folder = score_cell(info, "cpu", None)  # type: ignore[misc]
    assert [method.rank for method in chain] == [3]
    assert (given, type(task).__module__.rpartition(".")[2], [*loaders]) == (info, "synthetic", ["tiny"])
    assert (device, folder) == ("cpu", None)
    with pytest.raises(UsageError, match="unknown key 'rang'"):
        score_cell(replace(info, config={"rang": 3}), "cpu", None)
