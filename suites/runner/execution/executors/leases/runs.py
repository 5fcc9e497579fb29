"""The runs of a shared folder: one at a time, numbered, each a folder that is made and ended by one rename."""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .heartbeat import last_beat
from .identity import Process

LEASES = "leases"
FIRST = "run-000001"
_DRAFT = ".new-"
_NAME_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_NAME = re.compile(r"(run|over)-(\d{6,})")


class RunOverError(Exception):
    """The run that this process was a member of is over: the others took it for lost, or were through."""


class Run:
    """One run. All its files are below its folder, so that renaming the folder ends it for everybody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells = path / "cells"
        self.members = path / "members"

    def plan(self) -> dict[str, Any]:
        """What its first process said of it. Raises `RunOverError`."""
        try:
            return json.loads((self.path / "plan.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunOverError from None

    def living(self, now: float, lease: float) -> Iterator[Process]:
        """The members that are there: those that beat, and do not certainly run no more."""
        for member in self.members.glob("[!.]*"):
            process = living(member, now, lease)
            if process is not None:
                yield process

    def end(self) -> None:
        """End it for all members; what they hold of it is void from here on. Does nothing if it is over."""
        over = self.path.with_name(self.path.name.replace("run", "over"))
        try:
            self.path.rename(over)
        except FileNotFoundError:  # somebody else did it
            return
        for content in over.iterdir():
            _remove(content)
        for name in names_in(over.parent):
            if name.startswith("over-") and name < over.name:
                _remove(over.parent / name)

    def forget(self) -> None:
        """Remove what is left of the first run of a folder, which is over: the folder is as if none had been.

        Its number is free again. Hence only one that had no other members may be forgotten: nobody else remembers it.
        Later runs stay, and so does what another process has begun meanwhile.
        """
        if self.path.name == FIRST:
            _remove(self.path.with_name(FIRST.replace("run", "over")))
            with contextlib.suppress(OSError):  # something else is in it
                self.path.parent.rmdir()


def living(member: Path, now: float, lease: float) -> Process | None:
    """The process of a member's folder if it is there: it beats, and does not certainly run no more."""
    try:
        process = Process.read(member / "process.json")
        if process.is_known_dead() or now - last_beat(member / "beat") > lease:
            return None
    except FileNotFoundError:  # it left in this moment
        return None
    return process


def last_number(leases: Path) -> tuple[int, bool]:
    """The number of the newest run, 0 if there was none, and whether it goes on."""
    newest = 0
    going_on = False
    for found in map(_NAME.fullmatch, names_in(leases)):
        if found is None:
            continue
        number = int(found[2])
        if number > newest:
            newest = number
            going_on = found[1] == "run"
        elif number == newest:  # made again by one who came late: the number is used up
            going_on = False
    return newest, going_on


def run_of(leases: Path, number: int) -> Run:
    """The run of that number."""
    return Run(leases / f"run-{number:06d}")


def new_run(leases: Path, number: int, token: str, plan: Mapping[str, object]) -> bool:
    """Make the run of that number, with one member; False if another process made it first."""
    draft = leases / f"{_DRAFT}{token}"
    run = run_of(leases, number)
    try:
        make_member(draft / "members" / token)
        (draft / "cells").mkdir()
        (draft / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        if not rename_whole(draft, run.path):
            return False
    except OSError:  # a full disk
        _remove(draft)
        raise
    if last_number(leases) == (number, True):
        return True
    run.end()
    _remove(run.path)
    return False


def rename_whole(draft: Path, path: Path) -> bool:
    """Give a folder its name in one step; False, and the draft is gone, if another folder has that name."""
    try:
        draft.rename(path)
    except OSError as error:
        _remove(draft)
        if error.errno in _NAME_TAKEN:
            return False
        raise
    return True


def remove_drafts(leases: Path, now: float, lease: float) -> None:
    """Remove what processes left that were killed while they made a run."""
    for draft in leases.glob(f"{_DRAFT}*"):
        if not list(Run(draft).living(now, lease)):
            _remove(draft)


def make_member(path: Path) -> None:
    """A member's folder: who it is, and its first beat."""
    path.mkdir(parents=True)
    Process.this().write(path / "process.json")
    (path / "beat").touch()


def names_in(folder: Path) -> list[str]:
    """The names in a folder. Raises `FileNotFoundError`."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _remove(path: Path) -> None:
    """Whatever others may still do to it meanwhile."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
