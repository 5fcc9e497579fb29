"""The catalogue: one TOML file per source under ``manifest/``, parsed into frozen dataclasses.

Manifest files of other packages are entry points in the group `sparsebench.sources`, read without importing anything:

[project.entry-points."sparsebench.sources"]
my_assay = "my_package"  # the folder of my_package has my_assay.toml
"""

import functools
import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from .errors import ManifestError, UnknownSource
from .manifest_entry import FileEntry, Source, check_entry, near, parse
from .own_files import is_own_file, own_place

__all__ = [
    "FileEntry",
    "Source",
    "catalogue",
    "fingerprint",
    "is_further",
    "near",
    "parse",
    "register_source",
    "source",
    "source_problems",
]

FOLDER = Path(__file__).parent / "manifest"
GROUP = "sparsebench.sources"


@functools.cache
def _load(folder: Path) -> Mapping[str, Source]:
    return {source.name: source for source in map(parse, sorted(folder.glob("*.toml")))}


_registered: dict[str, Source] = {}


def register_source(entry: Source) -> None:
    """Add a source in this process; a package has an entry point instead.

    Args:
        entry: what a manifest file would say.

    Raises:
        ManifestError: its name is taken, or it says what no source is.
    """
    known = _registered.get(entry.name, entry)
    if entry.name in _load(FOLDER) or known != entry:
        raise ManifestError(f"there is a source {entry.name!r} already: take another name")
    check_entry(Path(f"{entry.name}.toml"), entry)
    _refuse_procedural(entry)
    _registered[entry.name] = entry


def is_further(name: str) -> bool:
    """Whether a source is of another package, or was registered in this process."""
    return name not in _load(FOLDER) and (name in _registered or name in manifest_files())


def source_problems() -> list[str]:
    """One line for each source of another package that cannot be used."""
    lines: list[str] = []
    for name in manifest_files():
        try:
            _further(name)
        except ManifestError as error:
            lines.append(f"the source {name!r} of another package cannot be used: {error}")
    return lines


def _further(name: str) -> Source | None:
    """The source of that name that is not ours; None where there is none. Raises `ManifestError`."""
    if name in _registered:
        return _registered[name]
    file = manifest_files().get(name)
    if file is None:
        return None
    if name in _load(FOLDER):
        raise ManifestError(f"the name {name!r} is built in")
    if not file.is_file():
        raise ManifestError(f"there is no file {file}: reinstall that package")
    entry = parse(file)
    _refuse_procedural(entry)
    return entry


def _refuse_procedural(entry: Source) -> None:
    if entry.kind == "procedural":
        raise ManifestError(f"{entry.name}: kind 'procedural' is for what this package draws; draw yours in the task")


def catalogue() -> dict[str, Source]:
    """All sources by name, those of other packages too, if they can be used."""
    found = dict(_load(FOLDER))
    for name in (*_registered, *manifest_files()):
        with suppress(ManifestError):
            entry = _further(name)
            if entry is not None:
                found.setdefault(name, entry)
    return found


def source(name: str) -> Source:
    """The manifest entry of a source, or that of a file of the user's (`own_files`).

    Args:
        name: of the source.

    Raises:
        UnknownSource: no such source.
        ManifestError: another package brings it, and it cannot be used.
    """
    if is_own_file(name):
        return _own_file(name)
    known = _load(FOLDER)
    entry = known[name] if name in known else _further(name)
    if entry is None:
        raise UnknownSource(f"unknown source {name!r}{near(name, catalogue())}")
    return entry


def _own_file(name: str) -> Source:
    place = own_place(name)
    about = "its content is in the identity of the cells that name it"
    return Source(
        name=name, kind="local", version="yours", licence="yours", citation=f"your own {place.name}", note=about
    )


def fingerprint(name: str) -> str:
    """The sha256 that identifies the source (see `Source.fingerprint`); reads no data."""
    return source(name).fingerprint


def manifest_files() -> Mapping[str, Path]:
    """Where the manifest file of each source should lie, by name; of two packages with one name, the first.

    A file may be missing; a package that is gone gives a path that nothing is at.
    """
    found: dict[str, Path] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, _folder(point) / f"{point.name}.toml")
    return found


def _folder(point: EntryPoint) -> Path:
    """The folder of a package, found without running any of its code."""
    top, *below = point.value.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return Path(point.value)
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*below)
