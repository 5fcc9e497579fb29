"""That the images of a list are there, as plain files inside of the user's folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import LocalFolderError


def check_present(listing: Path, files: Sequence[Path], root: Path) -> None:
    """Raises `LocalFolderError` for a file that is missing, is no plain file, or lies outside of ``root`` by a link.

    Folders are read once: thousands of look-ups of single files are slow on some disks.
    """
    inside = root.resolve()
    plain: set[Path] = set()
    others: set[Path] = set()
    for folder in dict.fromkeys(file.parent for file in files):
        _check_inside(listing, folder, inside)
        for entry in _entries(folder):
            kind = plain if not entry.is_symlink() and entry.is_file() else others
            kind.add(folder / entry.name)
    missing = [file for file in files if file not in plain and file not in others]
    if missing:
        raise LocalFolderError(f"{listing}: {len(missing)} of {len(files)} images are missing, first {missing[0]}")
    for file in files:
        if file in others:
            _check_inside(listing, file, inside)
            _check_plain(listing, file)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_inside(listing: Path, file: Path, inside: Path) -> None:
    target = file.resolve()
    if not target.is_relative_to(inside):
        raise LocalFolderError(
            f"{listing}: {file} is a link out of {inside}, to {target}: put the images themselves there"
        )


def _check_plain(listing: Path, file: Path) -> None:
    if file.is_dir():
        raise LocalFolderError(f"{listing}: {file} is a folder, not an image")
    if not file.exists():
        raise LocalFolderError(f"{listing}: {file} is a link to nothing")
    if not file.is_file():
        raise LocalFolderError(f"{listing}: {file} is no plain file (a pipe or a device), and is not opened")
