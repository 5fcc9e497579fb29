"""Get at a source: ask for a `path` inside it, verified as it is handed out; `prepare` many, and mend them."""

import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from .cache.folders import build_once, cache_root, is_complete
from .cache.seal import check, read_seal, reseal_if_only_times_differ
from .errors import ChecksumError, DataError, OfflineError, UnknownSource
from .fetching import fetch
from .fetching.debian import is_installed
from .local_folders import local_folder
from .manifest import Source, catalogue, fingerprint, near, register_source, source, source_problems
from .offline import offline

__all__ = [
    "Source",
    "catalogue",
    "ensure",
    "fetch_missing",
    "fingerprint",
    "folder_of",
    "path",
    "paths",
    "prepare",
    "register_source",
    "source",
    "source_problems",
]


def folder_of(entry: Source) -> Path:
    """Where a fetched source lies in the cache, whether or not it is there yet."""
    return cache_root() / "sources" / f"{entry.name}-{entry.fingerprint[:12]}"


def ensure(name: str, folder: Path | str | None = None) -> Path:
    """The folder with the unpacked content of a source, fetched first if it is not in the cache, all of it verified.

    Args:
        name: of the source in the manifest. A `procedural` one has no files and gives the folder of the code that
            renders it.
        folder: the user's folder of a `local` source; None is the one that its environment variable names. Other kinds
            ignore it.

    Returns:
        The folder.

    Raises:
        UnknownSource: no such source.
        ChecksumError: a file is not the pinned one, or what was fetched has changed.
        DownloadError: it cannot be fetched.
        OfflineError: it would have to be fetched, and `SPARSEBENCH_OFFLINE` is set.
        LocalFolderError: the user's folder, or a file in it, is missing.
    """
    entry = source(name)
    if entry.kind == "procedural":
        return Path(__file__).parent
    if entry.kind == "local":
        return local_folder(entry, folder)
    return _checked(entry, "")


def path(name: str, key: str, folder: Path | str | None = None, *, below: str = "") -> Path:
    """A named path of a source, a file or a folder; just that is verified and noted as read.

    Args:
        name: of the source in the manifest.
        key: of the path in the source's entry.
        folder: as in `ensure`.
        below: what lies below that path, instead of all of it.

    Returns:
        The path.

    Raises:
        UnknownSource: no such source or key.
        DataError: what `ensure` raises.
    """
    entry = source(name)
    inside = _inside(entry, key)
    if below:
        inside = f"{inside}/{below}"
    if entry.kind == "local":
        return local_folder(entry, folder, inside) / inside
    if entry.kind == "procedural":
        return ensure(name) / inside
    return _checked(entry, inside)


def paths(name: str, key: str, pattern: str) -> list[Path]:
    """The files of a fetched source below a named path that match a pattern, in order, each verified and noted.

    They are looked for in what was fetched, so none can be missing and none can have been added.

    Args:
        name: of the source in the manifest.
        key: of the path in the source's entry.
        pattern: of paths below that; `*` matches within one folder name.

    Returns:
        The paths.

    Raises:
        UnknownSource: no such source or key.
        ChecksumError: no file matches.
        DataError: what `ensure` raises.
    """
    entry = source(name)
    inside = _inside(entry, key)
    folder = _fetched(entry)
    sealed = read_seal(folder)
    names = sealed.files if sealed is not None else ()
    patterns = [*inside.split("/"), *pattern.split("/")]
    matching = [parts for parts in sorted(one.split("/") for one in names) if _matches(parts, patterns)]
    if not matching:
        raise ChecksumError(f"{name}: no file matches {pattern} in {inside}; {remedy(name)}")
    return [_checked(entry, "/".join(parts)) for parts in matching]


def prepare(names: Iterable[str], progress: Callable[[str], None] | None = None) -> list[tuple[str, Path]]:
    """`ensure` each source in turn, and fetch again what is broken.

    What was made from a source and is broken is removed: the next use makes it again.

    Args:
        names: of the sources; a wrong one stops before anything is fetched.
        progress: gets a line before and after a fetch.

    Returns:
        The name and the folder of each.

    Raises:
        DataError: what `ensure` raises.
    """
    say = progress or (lambda line: None)
    prepared = []
    for entry in [source(name) for name in names]:  # a wrong name stops before anything is fetched
        if not _is_here(entry):
            say(_fetching(entry))
        folder = _mended(entry, say)
        _mend_derived(entry, say)
        say(f"{entry.name}: ready in {folder}")
        prepared.append((entry.name, folder))
    return prepared


def fetch_missing(names: Iterable[str], say: Callable[[str], None]) -> None:
    """Fetch those sources that are not in the cache, so that no work waits for them; what is there is not looked at.

    Args:
        names: of the sources.
        say: gets a line before each fetch, and the reason where it fails: what uses such a source will fail with it.

    Raises:
        UnknownSource: no such source.
    """
    for entry in [source(name) for name in names]:
        if _is_here(entry):
            continue
        say(_fetching(entry))
        try:
            _fetched(entry)
        except DataError as error:
            say(f"{entry.name}: {error}")


def remedy(name: str) -> str:
    """How a broken source, or what was made from it, is mended: the end of an error message."""
    return f"mend it with `sparsebench prepare --source {name}`"


def _is_here(entry: Source) -> bool:
    return entry.kind in ("local", "procedural") or is_complete(folder_of(entry), _identity(entry))


def _fetching(entry: Source) -> str:
    return f"{entry.name}: fetching {entry.size / 1e6:.1f} MB"


def _identity(entry: Source) -> dict[str, str]:
    return {"source": entry.name, "sha256": entry.fingerprint}


def _inside(entry: Source, key: str) -> str:
    if key not in entry.paths:
        raise UnknownSource(f"source {entry.name!r} has no path {key!r}{near(key, entry.paths)}")
    return entry.paths[key]


def _matches(parts: list[str], patterns: list[str]) -> bool:
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _fetched(entry: Source, again: bool = False) -> Path:
    """The folder of a source in the cache, fetched if it is not there; its files are not looked at."""
    place = folder_of(entry)
    here = is_complete(place, _identity(entry)) and not again
    if not here and offline() and not is_installed(entry):
        raise OfflineError(
            f"source {entry.name!r} is not whole in {place.parent} and SPARSEBENCH_OFFLINE is set; "
            f"run `sparsebench prepare --source {entry.name}` once with network"
        )
    return build_once(place, _identity(entry), lambda partial: fetch(entry, partial), again=again)


def _checked(entry: Source, inside: str) -> Path:
    """A file or folder of a fetched source, verified against its seal, and the seal against the manifest."""
    folder = _fetched(entry)
    problem = _problem_with_seal(entry, folder)
    if problem:
        raise ChecksumError(f"{entry.name}: the seal of {folder} is another's: {problem}; {remedy(entry.name)}")
    return check(folder, inside, entry.name, remedy(entry.name))


def _problem_with_seal(entry: Source, folder: Path) -> str | None:
    sealed = read_seal(folder)
    if sealed is None:  # `check` says so
        return None
    return entry.problem_with(sealed.contents, {name: file.sha256 for name, file in sealed.files.items()})


def _mended(entry: Source, say: Callable[[str], None]) -> Path:
    try:
        return ensure(entry.name)
    except ChecksumError as error:
        if entry.kind == "local":  # a folder of the user's is the user's to mend
            raise
        genuine = _problem_with_seal(entry, folder_of(entry)) is None
        if genuine and reseal_if_only_times_differ(folder_of(entry)):
            say(f"{entry.name}: only times differed, the content is whole")
        else:
            say(f"{str(error).partition(';')[0]}: fetching again")
            _fetched(entry, again=True)
        return ensure(entry.name)


def _mend_derived(entry: Source, say: Callable[[str], None]) -> None:
    for folder in sorted((cache_root() / "derived").glob(f"{entry.name}-{entry.fingerprint[:12]}-*")):
        if not folder.is_dir() or folder.suffix == ".partial":
            continue
        try:
            check(folder, "", f"derived/{entry.name}", "")
        except ChecksumError:
            if not reseal_if_only_times_differ(folder):
                shutil.rmtree(folder)
                say(f"{entry.name}: {folder.name} was broken and is removed; the next use makes it again")
