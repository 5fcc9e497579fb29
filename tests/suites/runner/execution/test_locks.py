"""One run for each result folder."""

from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.locks import sole_run


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path: Path) -> None:
    with sole_run(tmp_path), pytest.raises(UsageError, match="another run is writing"), sole_run(tmp_path):
        raise AssertionError("the second run got in")
    with sole_run(tmp_path):
        assert (tmp_path / "workers.lock").exists()
