"""The executor is chosen by its name, and a name or an address of no use is refused before anything is written."""

from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.executors.choice import check_choice, open_executor
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.execution.executors.local.executor import LocalExecutor


def test_by_name(tmp_path: Path) -> None:
    with open_executor(tmp_path, Options(workers=1)) as executor:
        assert isinstance(executor, LocalExecutor)


def test_unknown() -> None:
    with pytest.raises(UsageError, match="unknown executor 'locale'; did you mean local"):
        check_choice(Options(workers=1, executor="locale"))


def test_an_address_of_no_use() -> None:
    with pytest.raises(UsageError, match="--address a:1: --executor local has no use for it"):
        check_choice(Options(workers=1, address="a:1"))


def test_refused_before_anything_is_written(bench) -> None:
    bench.write_profile({"molecules": {"backbones": ["toy_line"], "methods": ["toy_fine"], "tasks": ["toy_sum"]}})
    done = bench.call(*bench.run_arguments(), "--executor", "lokal")
    assert done.returncode == 2
    assert done.stderr == "sparsebench: unknown executor 'lokal'; did you mean local?\n"
    assert not bench.out.exists()
