"""What --slurm may say, and what is said of what it may not."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.executors.choice import check_choice
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.execution.executors.slurm_options import JobOptions, parse_slurm


def test_all_of_it() -> None:
    found = parse_slurm("partition=gpu,time=60,array=8,mem=12.5,cpus=4,gpus=1,cluster=slurm")
    expected = {"timeout_min": 60, "slurm_partition": "gpu", "mem_gb": 12.5, "cpus_per_task": 4, "gpus_per_node": 1}
    assert found == JobOptions(8, "slurm", expected)


def test_nothing_is_one_job_of_a_day() -> None:
    assert parse_slurm(None) == JobOptions(1, None, {"timeout_min": 1440})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partiton=gpu", "unknown name 'partiton'; did you mean partition"),
        ("cluster=slrum", "cluster=slrum: it is one of slurm, local, debug; did you mean slurm"),
        ("array=many", "array=many: it must be a number"),
        ("array=0", "array=0: it must be a number above 0"),
        ("mem=nan", "mem=nan: it must be a number above 0"),
        ("time", "time needs a value"),
        ("time=1,time=2", "time stands twice"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_slurm(text)


def test_of_no_use_elsewhere() -> None:
    with pytest.raises(UsageError, match="--slurm array=2: --executor leases has no use for it"):
        check_choice(Options(workers=1, executor="leases", slurm="array=2"))


def test_submitit_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs submitit: pip install 'sparsebench\[submitit\]'"):
        check_choice(Options(workers=1, executor="submitit"))
