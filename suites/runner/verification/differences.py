"""What is not as it was when a record was made: code, libraries, data and weights, machine."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsebench.reports.records.record import DataInfo, Record

from ..discovery.closure import HOME
from ..discovery.loading import load_task
from ..discovery.registry import find, suite
from ..identity.cell import Cell
from ..identity.device import recorded_device
from ..identity.fingerprint import code_hash, covered, installed, recorded_versions, source_tree
from .rebuild import device_here, has_key_of

MAX_NAMES = 4
GIT_SECONDS = 20


@dataclass(frozen=True)
class Differences:
    """Each a list of sentences; empty where nothing differs."""

    code: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()


def differences(record: Record, cell: Cell, again: Record) -> Differences:
    """Between a record and now. `again` is the record that its cell gave just now: it says what was read, and where."""
    return Differences(
        code=tuple(_code(record, cell)),
        libraries=tuple(library_changes(record)),
        data=(*_data(record.data, again.data), *_weights(record, cell, again)),
        machine=tuple(_machine(record, again)),
    )


def version_changes(record: Record) -> Iterator[str]:
    """Of its suite and its task."""
    info = record.cell
    task = load_task(find("task", info.task, info.suite))
    for what, then, now in (
        ("suite", info.suite_version, suite(info.suite).version),
        ("task", info.task_version, task.version),
    ):
        if then != now:
            yield f"version {now} of the {what}, {then} then"


def _code(record: Record, cell: Cell) -> Iterator[str]:
    yield from version_changes(record)
    entries = cell.parts.entries
    if code_hash(entries, recorded_versions(record), recorded_device(record)) == record.code:
        return
    commit = record.environment.get("commit")
    changed = _changed(commit, [module.path for module in covered(entries, source_tree(), costs=False)])
    if changed:
        yield f"{len(changed)} files that the score passes through changed since {str(commit)[:7]}: {_some(changed)}"
    else:
        yield "another code hash: files that the score passes through changed, or a SPARSEBENCH_ variable is another"


def _changed(commit: object, paths: Sequence[Path]) -> list[str]:
    """Which of the files differ from those of a commit; empty where git cannot say."""
    ours = sorted(str(path.relative_to(HOME)) for path in paths if path.is_relative_to(HOME))
    if not isinstance(commit, str) or not (HOME / ".git").exists() or not ours:
        return []
    command = ["git", "-C", str(HOME), "diff", "--name-only", commit, "--", *ours]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def library_changes(record: Record) -> Iterator[str]:
    """Of those that the record names."""
    noted = record.environment.get("libraries")
    for name, then in sorted(noted.items() if isinstance(noted, dict) else ()):
        now = installed(name)
        if now != then:
            yield f"{name} {now}, {then} then"


def _data(then: Sequence[DataInfo], now: Sequence[DataInfo]) -> Iterator[str]:
    """Sources that differ in version, checksum or files. Earlier records name no files, and no derived sources."""
    names_files = any(data.files for data in then)
    before = {data.source: data for data in then}
    today = {data.source: data for data in now}
    for name in sorted(before.keys() | today.keys()):
        if name not in today:
            yield f"{name}: not read now"
        elif name not in before:
            if names_files:
                yield f"{name}: not read then"
        else:
            yield from _source(before[name], today[name])


def _source(then: DataInfo, now: DataInfo) -> Iterator[str]:
    if (then.version, then.sha256) != (now.version, now.sha256):
        yield f"{then.source}: {_pinned(now)}, {_pinned(then)} then"
    before = {file.path: file.sha256 for file in then.files}
    today = {file.path: file.sha256 for file in now.files}
    if not before or not today:
        return
    changed = sorted(path for path in before.keys() | today.keys() if before.get(path) != today.get(path))
    if changed:
        yield f"{then.source}: other files: {_some(changed)}"


def _pinned(data: DataInfo) -> str:
    return f"version {data.version} ({(data.sha256 or 'no checksum')[:12]})"


def _weights(record: Record, cell: Cell, again: Record) -> Iterator[str]:
    """The key covers weights; where all else that it covers is as it was, they are what differs."""
    if not has_key_of(record, cell) and not any(_data(record.data, again.data)):
        names = ", ".join([cell.info.backbone, *cell.info.further_backbones])
        yield f"another key of the cell: the weights of {names} or the checksums of its data are others"


def _machine(record: Record, again: Record) -> Iterator[str]:
    for name in ("processor", "processor_type", "accelerator", "python", "threads"):
        then = record.environment.get(name)
        now = again.environment.get(name)
        if name not in record.environment:
            if now is not None:
                yield f"{name} {now}, not recorded then"
        elif then != now:
            yield f"{name} {now}, {then} then"
    if device_here(record) != recorded_device(record):
        yield f"run on the CPU, on {recorded_device(record)} then"


def threads_of(record: Record) -> int:
    """How many threads the record was made with; they may change a last digit."""
    threads = record.environment.get("threads")
    if not isinstance(threads, int) or threads < 1:
        return 1
    return min(threads, os.cpu_count() or 1)


def _some(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
