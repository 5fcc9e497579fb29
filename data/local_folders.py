"""Sources that are not fetched: a folder of the user's, or that of an installed Python package."""

import importlib.util
import os
import zipfile
from pathlib import Path

from .cache.digests import digest_once
from .cache.folders import verify
from .cache.ledger import FileRead, note
from .errors import LocalFolderError
from .manifest import Source
from .own_files import existing_place, is_own_file


def local_folder(entry: Source, given: Path | str | None, inside: str = "") -> Path:
    """The folder of a `local` source, with all its pinned files verified; of a file of the user's own, `file:PLACE`,
    the file.

    Args:
        entry: the source.
        given: the user's folder; None is the one that its environment variable names.
        inside: files at or below this path count as read; "" counts all.

    Returns:
        The folder; where the source may be an archive, the user's zip file.

    Raises:
        LocalFolderError: a missing folder or file.
        ChecksumError: another file than the pinned one.
    """
    if is_own_file(entry.name):
        return _own_file(entry.name)
    folder = _installed_folder(entry) if entry.installed else _named_folder(entry, given)
    for file in entry.files:
        if not (folder / file.name).is_file():
            raise LocalFolderError(f"source {entry.name!r}: {folder} has no file {file.name}; {entry.note}")
        verify(folder, file, "put the pinned file there, or use another source")
        if not inside or file.name == inside or file.name.startswith(f"{inside}/"):
            note(FileRead(entry.name, file.name, file.size, file.sha256))
    return folder


def note_unpinned(place: str, folder: Path, file: Path) -> None:
    """Count a file of a user's folder, of which nobody has pinned a sum, as read, with the sum that it has.

    Args:
        place: the name of the source in the ledger.
        folder: the folder.
        file: the file in it.
    """
    note(FileRead(place, Path(os.path.relpath(file, folder)).as_posix(), file.stat().st_size, digest_once(file)))


def _own_file(name: str) -> Path:
    place = existing_place(name)
    if place.is_file():
        note_unpinned(name, place.parent, place)
    return place


def _named_folder(entry: Source, given: Path | str | None) -> Path:
    named = given or os.environ.get(entry.environment)
    if not named:
        raise LocalFolderError(
            f"source {entry.name!r} is a folder of yours: set {entry.environment} to it; {entry.note}"
        )
    folder = Path(named).expanduser()
    if folder.is_dir() or (entry.archive and zipfile.is_zipfile(folder)):
        return folder
    kinds = "neither a folder nor a zip file" if entry.archive else "no folder"
    raise LocalFolderError(f"source {entry.name!r}: {str(named)!r} is {kinds}; {entry.note}")


def _installed_folder(entry: Source) -> Path:
    """The folder of an installed Python package, found without importing it."""
    spec = importlib.util.find_spec(entry.installed)
    if spec is None or not spec.submodule_search_locations:
        raise LocalFolderError(f"source {entry.name!r} lies in the Python package {entry.installed!r}: install it")
    return Path(spec.submodule_search_locations[0])
