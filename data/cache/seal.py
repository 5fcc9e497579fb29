"""The seal of a folder in the cache: size, time and sha256 of each file in it, and the check at each use.

A seal is the file `.complete.json`, written last. At each use, sizes and times of the files in use must be those of the
seal, no other file may lie among them, and once a process their content must have the digests of the seal. Whoever can
write files there can write another seal, too: so what the manifest pins of a source is compared with its seal
(`Source.problem_with`).
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ChecksumError
from .digests import digest_once, sha256_of
from .ledger import FileRead, note

MARKER = ".complete.json"
_read: dict[Path, tuple[tuple[int, int, int], "Seal | None"]] = {}


@dataclass(frozen=True)
class Sealed:
    """One file as it was when the folder was made: bytes, time of change in nanoseconds, hex digest."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Seal:
    """What a folder was made from, and its files by their path below it."""

    identity: Mapping[str, str]
    files: Mapping[str, Sealed]

    @functools.cached_property
    def contents(self) -> str:
        """One sum over the sums of all files: the sha256 of what `sha256sum` prints for them in the order of names."""
        lines = [f"{self.files[name].sha256}  {name}\n" for name in sorted(self.files)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def seal(folder: Path, identity: Mapping[str, str]) -> None:
    """Write the seal of a folder that has all its files."""
    files = {}
    for name in sorted(_names_below(folder, "")):
        file = folder / name
        stat = file.stat()
        files[name] = [stat.st_size, stat.st_mtime_ns, sha256_of(file)]
    text = json.dumps({"identity": dict(identity), "files": files})
    temporary = folder / f"{MARKER}.{os.getpid()}"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / MARKER)


def read_seal(folder: Path) -> Seal | None:
    """The seal of a folder; None if it has none, or none that can be read (an older version wrote no files into it)."""
    file = folder / MARKER
    try:
        stat = file.stat()
    except OSError:
        return None
    state = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    known = _read.get(file)
    if known is None or known[0] != state:
        known = (state, _parse(file))
        _read[file] = known
    return known[1]


def check(folder: Path, name: str, place: str, remedy: str) -> Path:
    """Verify `folder/name`, a file or all files of a folder ("" for the whole one), note them as read and return it.

    Raises:
        ChecksumError: a file is gone, cut, changed, newer than the seal or not in the seal. The message names it, and
            ends in `remedy`.
    """
    sealed = read_seal(folder)
    files = sealed.files if sealed is not None else {}
    if name in files:
        wanted = [name]
    else:
        prefix = f"{name}/" if name else ""
        wanted = [known for known in files if known.startswith(prefix)]
        _refuse_strangers(folder, name, files, place, remedy)
    if not wanted:
        raise ChecksumError(f"{place}: {name or folder} is not among the files that were fetched; {remedy}")
    for one in wanted:
        _check_file(folder, one, files[one], place, remedy)
        note(FileRead(place, one, files[one].size, files[one].sha256))
    return folder / name


def reseal_if_only_times_differ(folder: Path) -> bool:
    """Whether a folder holds just what its seal says but for times (it was copied): then it is sealed again."""
    sealed = read_seal(folder)
    if sealed is None or _names_below(folder, "") != set(sealed.files):
        return False
    if any(sha256_of(folder / name) != file.sha256 for name, file in sealed.files.items()):
        return False
    seal(folder, sealed.identity)
    return True


def _parse(file: Path) -> Seal | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        files = {name: Sealed(*entry) for name, entry in content["files"].items()}
        return Seal(content["identity"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _names_below(folder: Path, name: str) -> set[str]:
    """Paths of all files below `folder/name`, as the seal writes them; links count as files."""
    found = set()
    for root, folders, names in os.walk(folder / name):
        links = [one for one in folders if (Path(root) / one).is_symlink()]
        for one in [*names, *links]:
            found.add((Path(root) / one).relative_to(folder).as_posix())
    return {one for one in found if not one.startswith(MARKER)}


def _refuse_strangers(folder: Path, name: str, files: Mapping[str, Sealed], place: str, remedy: str) -> None:
    """A file that nobody fetched could be read by a pattern."""
    for stranger in sorted(_names_below(folder, name) - set(files)):
        raise ChecksumError(f"{place}: {stranger} was not there when the folder was made; {remedy}")


def _check_file(folder: Path, name: str, sealed: Sealed, place: str, remedy: str) -> None:
    file = folder / name
    try:
        stat = file.stat()
    except OSError:
        raise ChecksumError(f"{place}: {name} is gone from {folder}; {remedy}") from None
    problem = None
    if stat.st_size != sealed.size:
        problem = f"has {stat.st_size} bytes, not {sealed.size}"
    elif stat.st_mtime_ns != sealed.mtime_ns:
        problem = "was written again since it was put there"
    elif digest_once(file) != sealed.sha256:
        problem = f"has another content: expected sha256 {sealed.sha256}, found {digest_once(file)}"
    if problem:
        raise ChecksumError(f"{place}: {name} {problem}; {remedy}")
