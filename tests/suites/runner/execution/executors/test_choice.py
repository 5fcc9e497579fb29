"""The executor is chosen by its name, and a name or an address of no use is refused before anything is written."""

import importlib.util
from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.executors.choice import check_choice, hold, open_executor
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.execution.executors.leases.executor import LeaseExecutor
from sparsebench.suites.runner.execution.executors.local.executor import LocalExecutor
from sparsebench.suites.runner.execution.executors.ray_cluster.executor import RayExecutor


@pytest.mark.parametrize(("name", "kind"), [("local", LocalExecutor), ("leases", LeaseExecutor), ("ray", RayExecutor)])
def test_by_name(tmp_path: Path, name: str, kind: type) -> None:
    options = Options(workers=1, executor=name)
    with hold(tmp_path, options, dict) as membership, open_executor(tmp_path, options, membership) as executor:
        assert isinstance(executor, kind)


@pytest.mark.parametrize(("first", "second"), [("local", "leases"), ("leases", "local"), ("local", "local")])
def test_who_needs_a_folder_alone_shares_it_with_nobody(tmp_path: Path, first: str, second: str) -> None:
    with (
        hold(tmp_path, Options(workers=1, executor=first), dict),
        pytest.raises(UsageError, match="another run is writing"),
        hold(tmp_path, Options(workers=1, executor=second), dict),
    ):
        raise AssertionError("the second run got in")


def test_unknown() -> None:
    with pytest.raises(UsageError, match="unknown executor 'locale'; did you mean local"):
        check_choice(Options(workers=1, executor="locale"))


def test_an_address_of_no_use() -> None:
    with pytest.raises(UsageError, match="--address a:1: --executor local has no use for it"):
        check_choice(Options(workers=1, address="a:1"))


def test_refused_before_anything_is_written(bench) -> None:
    bench.write_toys("toy_fine")
    done = bench.call(*bench.run_arguments(), "--executor", "lokal")
    assert done.returncode == 2
    assert done.stderr == "sparsebench: unknown executor 'lokal'; did you mean local?\n"
    assert not bench.out.exists()


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--executor ray needs Ray: pip install 'sparsebench\[ray\]'"):
        check_choice(Options(workers=1, executor="ray"))


def test_ray_chooses_the_accelerator() -> None:
    with pytest.raises(UsageError, match="--device cuda:1: Ray chooses which; say --device cuda"):
        check_choice(Options(workers=1, executor="ray", device="cuda:1"))
