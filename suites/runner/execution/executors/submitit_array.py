"""Jobs of a cluster that serve a run by leases: submitit starts them, and all the rest is the shared folder."""

import contextlib
import importlib.util
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sparsebench.reports.records.store import StoreError

from ...errors import ExecutorError, UsageError
from ...identity.cell import Cell
from .interface import Event, Executor, Notice, Options
from .leases.description import plan_lines
from .leases.executor import LeaseExecutor
from .leases.lease import allow_again, cancel_everywhere
from .leases.membership import Membership
from .leases.runs import RunOverError
from .leases.service import Service
from .slurm_options import JobOptions, parse_slurm

JOBS = "jobs"
"""Folder of the result folder with what submitit needs and with the jobs' output."""
END_SECONDS = 60.0
"""How long a cancelled job may take to end."""
POLL_SECONDS = 0.5
REQUEUES = 1000
"""How often a job whose time is up is submitted again."""


class SubmititExecutor(Executor):
    """Submits jobs, each with workers of its own, and watches the result folder.

    Args:
        folder: the result folder, on a file system that the jobs see, too.
        options: those of each job; `slurm` says how many there are and what each gets.
        membership: this process's place in the run.

    Raises `UsageError` for options that cannot be used, and where submitit is not installed.
    """

    def __init__(self, folder: Path, options: Options, membership: Membership) -> None:
        check_submitit()
        self._folder = folder.resolve()
        self._options = options
        self._membership = membership
        self._job_options = parse_slurm(options.slurm)
        self._watch = LeaseExecutor(folder, replace(options, workers=0), membership)
        self._jobs: list[Any] = []
        self._heard: set[str] = set()
        self._store_error: StoreError | None = None

    def submit(self, cells: Sequence[Cell]) -> None:
        """As in `Executor`; cells that come later get jobs of their own. Raises `ExecutorError`."""
        for cell in cells:
            allow_again(self._membership.run, cell.id)
        self._watch.submit(cells)
        plan = self._membership.plan
        assert plan is not None
        service = Service(self._folder, self._options, list(cells), plan, plan_lines(cells))
        self._jobs += _submit(self._folder / JOBS, self._job_options, service)

    def events(self, seconds: float) -> list[Event]:
        """As in `Executor`. Raises `ExecutorError` when all jobs have ended and cells are left."""
        ended = [job for job in self._jobs if job.done()]
        found = [*self._watch.events(seconds), *self._complaints(ended)]
        if len(ended) == len(self._jobs) and not found and self._watch.has_work:
            raise self._store_error or ExecutorError(
                f"all {len(ended)} jobs have ended and cells are left: their output is in {self._folder / JOBS}; "
                "the same command goes on from here"
            )
        return found

    def _complaints(self, ended: Sequence[Any]) -> Iterator[Event]:
        """What jobs that did not serve to the end have to say, once each."""
        for job in ended:
            if job.job_id in self._heard:
                continue
            self._heard.add(job.job_id)
            error = _result(job)
            if isinstance(error, StoreError):
                self._store_error = error
            if error is not None:
                yield Notice(f"job {job.job_id}: {error}")

    def cancel(self, ids: Collection[str]) -> None:
        """As in `Executor`."""
        self._watch.cancel(ids)
        with contextlib.suppress(RunOverError):  # then there is nothing that could run
            cancel_everywhere(self._membership.run, ids)

    def close(self) -> None:
        """As in `Executor`: cancels the jobs and waits for their end. Raises `ExecutorError` if they do not end."""
        jobs = [job for job in self._jobs if not _has_ended(job)]
        self._jobs = []
        self._watch.close()
        for job in jobs:
            job.cancel()
        until = monotonic() + END_SECONDS
        while not all(_has_ended(job) for job in jobs):
            if monotonic() > until:
                raise ExecutorError(f"jobs did not end within {END_SECONDS:g} s after they were cancelled: {jobs}")
            sleep(POLL_SECONDS)


def check_submitit() -> None:
    """Raises `UsageError` where submitit is not installed."""
    if importlib.util.find_spec("submitit") is None:
        raise UsageError("--executor submitit needs submitit: pip install 'sparsebench[submitit]'")


def _submit(folder: Path, options: JobOptions, service: Service) -> list[Any]:
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        executor = submitit.AutoExecutor(folder, options.cluster, slurm_max_num_timeout=REQUEUES)
        executor.update_parameters(name="sparsebench", **options.parameters)
        with executor.batch():
            return [executor.submit(service) for _ in range(options.jobs)]
    except (RuntimeError, OSError, FailedJobError, FailedSubmissionError) as error:
        raise ExecutorError(f"submitit cannot submit jobs: {' '.join(str(error).split())}") from error


def _has_ended(job: Any) -> bool:
    """Whether nothing of a job runs any more. One of the cluster `debug` runs in this process, and only when asked."""
    from submitit import DebugJob

    return isinstance(job, DebugJob) or job.done(force_check=True)


def _result(job: Any) -> Exception | None:
    """What ended a job before all cells had ended; None if nothing did."""
    from submitit.core.utils import UncompletedJobError

    try:
        return job.result()
    except UncompletedJobError:
        return ExecutorError(f"it ended without a result; its output is in {job.paths.stderr}")
