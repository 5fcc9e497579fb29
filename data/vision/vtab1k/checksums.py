"""The file SHA256SUMS of a task's folder, as `sha256sum` writes it: of the lists and of every image."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...cache.digests import digest_once
from ...errors import ChecksumError

NAME = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path, files: Iterable[Path], name: str = NAME) -> Path:
    """Write the sums of files below ``folder``, sorted by path. `sha256sum --check` verifies them, too."""
    lines = [f"{digest_once(file)}  {file.relative_to(folder).as_posix()}\n" for file in sorted(set(files))]
    place = folder / name
    place.write_text("".join(lines), encoding="utf-8")
    return place


def read_sums(folder: Path) -> Mapping[Path, str]:
    """Sums by file; none where the folder has no such file. Raises `ChecksumError` for a line that is none."""
    place = folder / NAME
    if not place.is_file():
        return {}
    sums = {}
    for number, line in enumerate(place.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise ChecksumError(f"{place}, line {number}: {line!r} is not 'sha256  path'; make the folder again")
        sums[folder / match[2]] = match[1]
    return sums


def check_sums(sums: Mapping[Path, str], files: Iterable[Path]) -> None:
    """Raises `ChecksumError` for a file that has no sum or another one; nothing is checked where there are no sums."""
    if not sums:
        return
    for file in files:
        expected = sums.get(file)
        if expected is None:
            raise ChecksumError(f"{file} is not in {NAME}: it was added after the folder was made; make it again")
        found = digest_once(file)
        if found != expected:
            raise ChecksumError(f"{file}: expected sha256 {expected}, found {found}; copy it again")
