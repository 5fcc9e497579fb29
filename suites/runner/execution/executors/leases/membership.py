"""Being one of the processes of a run: joining it, or starting one; refusing what does not fit; leaving it."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ....errors import UsageError
from .description import difference
from .heartbeat import Heartbeat, last_beat
from .identity import Process
from .runs import LEASES, Run, RunOverError, last_number, living, make_member, new_run, remove_drafts, run_of

SETTLED_SECONDS = 3600.0
"""Temporary files of this age belong to no process that still writes them."""


class Membership:
    """A place in the run of a result folder.

    Args:
        folder: the result folder, which all members share.
        plan: what this process is going to run (`describe`); members have equal plans. None: the folder for it alone.
        lease: seconds without a heart-beat after which a process is taken for lost; the first member's counts.
    """

    run: Run
    token: str

    def __init__(self, folder: Path, plan: Mapping[str, Any] | None, lease: float) -> None:
        self._folder = folder
        self._leases = folder / LEASES
        self._plan = {"plan": plan, "lease": lease}
        self._beat: Heartbeat | None = None
        self.lease = lease

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """What this process is going to run; None where it has the folder for itself."""
        return self._plan["plan"]

    @property
    def private(self) -> Path:
        """This process's own part of the run's folder."""
        return self.run.members / self.token

    def join(self) -> None:
        """Take part in the run that goes on, else start one.

        Raises:
            UsageError: a run goes on that admits no other, or none with this plan.
        """
        self.token = secrets.token_hex(8)
        while not self._try_to_join():
            pass
        self._beat = Heartbeat(self.private / "beat", self.lease)

    def _try_to_join(self) -> bool:
        """False if another process was quicker, so that all must be looked at again."""
        self._leases.mkdir(exist_ok=True)
        number, going_on = last_number(self._leases)
        try:
            if not going_on:
                return self._start(number + 1)
            self.run = run_of(self._leases, number)
            plan = self.run.plan()
            self.lease = plan["lease"]
            present = list(self.run.living(self._file_time(), self.lease))
            if not present:
                self.run.end()
                return False
            self._check(plan["plan"], present)
            return self._enter()
        except (RunOverError, FileNotFoundError):
            return False
        except OSError:  # a full disk, for one
            with contextlib.suppress(OSError):  # it is not empty
                self._leases.rmdir()
            raise

    def _start(self, number: int) -> bool:
        self.lease = self._plan["lease"]
        self.run = run_of(self._leases, number)
        remove_drafts(self._leases, self._file_time(), self.lease)
        return new_run(self._leases, number, self.token, self._plan)

    def _check(self, plan: Mapping[str, Any] | None, present: list[Process]) -> None:
        if plan is None or self.plan is None:
            raise UsageError(
                f"another run is writing to {self._folder} ({present[0].place}): wait for it, or choose another --out"
            )
        other = difference(plan, self.plan)
        if other:
            raise UsageError(
                f"the run in {self._folder} ({present[0].place}) has another plan than this process: {other}; "
                "give both the same, or choose another --out"
            )

    def _enter(self) -> bool:
        draft = self.run.members / f".{self.token}"
        make_member(draft)
        draft.rename(self.private)
        return True

    def _file_time(self) -> float:
        """What time it is on the clock of the shared file system."""
        probe = self._leases / f".clock-{self.token}"
        probe.touch()
        try:
            return last_beat(probe)
        finally:
            probe.unlink()

    def now(self) -> float:
        """Seconds on the clock of the shared file system. Raises `RunOverError`."""
        assert self._beat is not None
        try:
            return self._beat.now()
        except FileNotFoundError:
            raise RunOverError from None

    def living(self, token: str, now: float) -> Process | None:
        """The process of another member, None if it has left or is lost."""
        return living(self.run.members / token, now, self.lease)

    @property
    def settled_seconds(self) -> float:
        """How old a temporary file must be to be nobody's: of any age, or older than a stay of the lost."""
        return 0.0 if self.plan is None else SETTLED_SECONDS

    def check(self) -> None:
        """Raises `UsageError` where this process was to have the folder for itself, and has it no longer."""
        if not self._folder.exists():
            raise UsageError(
                f"{self._folder} was removed while this run wrote into it, and its records with it: "
                "the same command makes them again"
            )
        if self.plan is None and not self.private.exists():  # not the run's folder: its number may be another's now
            raise UsageError(
                f"this process stood still for more than {self.lease:g} s, and another run took {self._folder} over: "
                "the same command goes on from here"
            )

    def leave(self) -> None:
        """Give the place up; the last one ends the run. Calling it again does nothing."""
        if self._beat is None:
            return
        self._beat.stop()
        self._beat = None
        shutil.rmtree(self.private, ignore_errors=True)
        if self.run.path.exists() and not list(self.run.living(self._file_time(), self.lease)):
            self.run.end()
            if self.plan is None:
                self.run.forget()


@contextmanager
def joined(folder: Path, plan: Mapping[str, object] | None, lease: float) -> Iterator[Membership]:
    """A membership for the length of a block; arguments and errors are those of `Membership`."""
    membership = Membership(folder, plan, lease)
    membership.join()
    try:
        yield membership
    finally:
        membership.leave()
