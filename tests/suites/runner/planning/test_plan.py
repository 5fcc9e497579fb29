"""The states of cells, and which of them a run takes."""

from sparsebench.suites.runner.planning.plan import compare, expand, to_run
from sparsebench.suites.runner.planning.profile import load_profile


def test_states_and_reuse() -> None:
    cells = expand(load_profile("smoke", ["molecules"]))
    planned = compare(cells, [])
    assert {entry.state for entry in planned} <= {"missing", "n/a"}
    assert to_run(planned, "only") == []
    assert to_run(planned, "missing") == to_run(planned, "never") == to_run(planned, "always")
    assert all(cell.reason is None for cell in to_run(planned, "missing"))
