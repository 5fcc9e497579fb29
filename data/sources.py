"""Get at a source: `ensure` it is here, ask for a `path` inside it, `prepare` many."""

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from .cache import build_once, cache_root, is_complete, verify
from .errors import LocalFolderError, OfflineError, UnknownSource
from .fetch import fetch
from .manifest import Source, catalogue, fingerprint, near, source

__all__ = ["Source", "catalogue", "ensure", "fingerprint", "folder_of", "path", "prepare", "source"]


def folder_of(entry: Source) -> Path:
    """Where a fetched source lies in the cache, whether or not it is there yet."""
    return cache_root() / "sources" / f"{entry.name}-{entry.fingerprint[:12]}"


def ensure(name: str, folder: Path | str | None = None) -> Path:
    """The folder with the unpacked content of ``name``, fetched and verified first if it is not in the cache.

    A ``local`` source gives the user's folder, with its pinned files checked: ``folder``, else the one that its
    environment variable names; other kinds ignore ``folder``. A ``procedural`` one has no files and gives the folder
    of the code that renders it. Raises `UnknownSource`, `ChecksumError`, `DownloadError`, `OfflineError`,
    `LocalFolderError`.
    """
    entry = source(name)
    if entry.kind == "procedural":
        return Path(__file__).parent
    if entry.kind == "local":
        return _local(entry, folder)
    place, identity = folder_of(entry), {"source": name, "sha256": entry.fingerprint}
    if not is_complete(place, identity) and os.environ.get("SPARSEBENCH_OFFLINE", "") not in ("", "0"):
        raise OfflineError(
            f"source {name!r} is not in {place.parent} and SPARSEBENCH_OFFLINE is set; "
            f"run `sparsebench prepare` once with network"
        )
    return build_once(place, identity, lambda partial: fetch(entry, partial))


def path(name: str, key: str, folder: Path | str | None = None) -> Path:
    """A named path of the manifest inside the ensured folder. Raises `UnknownSource` for an unknown key."""
    entry = source(name)
    if key not in entry.paths:
        raise UnknownSource(f"source {name!r} has no path {key!r}{near(key, entry.paths)}")
    return ensure(name, folder) / entry.paths[key]


def prepare(names: Iterable[str], progress: Callable[[str], None] | None = None) -> list[tuple[str, Path]]:
    """`ensure` each source in turn; ``progress`` gets one line before and after each fetch."""
    say = progress or (lambda line: None)
    prepared = []
    for entry in [source(name) for name in names]:  # a wrong name stops before anything is fetched
        cached = entry.kind in ("local", "procedural") or folder_of(entry).is_dir()
        if not cached:
            say(f"{entry.name}: fetching {entry.size / 1e6:.1f} MB")
        folder = ensure(entry.name)
        say(f"{entry.name}: ready in {folder}")
        prepared.append((entry.name, folder))
    return prepared


def _local(entry: Source, given: Path | str | None) -> Path:
    folder = _installed_folder(entry) if entry.installed else _named_folder(entry, given)
    for file in entry.files:
        if not (folder / file.name).is_file():
            raise LocalFolderError(f"source {entry.name!r}: {folder} has no file {file.name}; {entry.note}")
        verify(folder, file, "put the pinned file there, or use another source")
    return folder


def _named_folder(entry: Source, given: Path | str | None) -> Path:
    named = given or os.environ.get(entry.environment)
    if not named:
        raise LocalFolderError(
            f"source {entry.name!r} is a folder of yours: set {entry.environment} to it; {entry.note}"
        )
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise LocalFolderError(f"source {entry.name!r}: {str(named)!r} is no folder; {entry.note}")
    return folder


def _installed_folder(entry: Source) -> Path:
    """The folder of an installed Python package, found without importing it."""
    spec = importlib.util.find_spec(entry.installed)
    if spec is None or not spec.submodule_search_locations:
        raise LocalFolderError(f"source {entry.name!r} lies in the Python package {entry.installed!r}: install it")
    return Path(spec.submodule_search_locations[0])
