"""The cells of the last plan of each profile, kept so that planning again imports no method and no torch.

A file holds the cells and the state of all that they depend on: the profile, every file of ours, of plug-ins and of
backbones (path, size, times of change), library versions, our environment variables and the kind of device. If
anything differs, or the file cannot be read, the profile is expanded again.
"""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from sparsebench.data.cache import cache_root
from sparsebench.data.identity import identity
from sparsebench.models.registry import plural
from sparsebench.reports.records.index.collector import no_collection
from sparsebench.reports.records.record import CellInfo, Link

from ..discovery.closure import HOME, files_below, places
from ..discovery.entry import PARTS
from ..discovery.plugins import top_packages
from ..discovery.registry import further_places, suites
from ..identity.cell import Cell, backbones_of, digest
from ..identity.device import device_kind
from ..identity.fingerprint import versions
from ..identity.machine import fast_dtype
from ..identity.weights import weight_files, weights_identity
from .profile import Profile

FOLDERS = ("models", "data", "suites", "reports")
RESULTS = HOME / "reports" / "results"
GROUPS = tuple(f"sparsebench.{plural(kind)}" for kind in ("method", "task", "backbone", *PARTS))
SETTLED_SECONDS = 2.0
"""A file may change twice within one tick of its clock: what is younger than this is not relied on."""


def remembered(profile: Profile, expand: Callable[[Profile], Iterable[Cell]]) -> list[Cell]:
    """The cells of a profile: those of the last plan if nothing changed, else what `expand` gives, which is kept."""
    plugins = _plugins()
    files = {path: path.stat() for path in _files(plugins)}
    shared = digest([_settings(plugins), _stamps(files)])
    path = cache_root() / "plans" / f"{digest([str(HOME), repr(profile)])}.json"
    found = _read(path, shared)
    if found is None:
        text = json.dumps([dataclasses.asdict(cell) for cell in expand(profile)])
        found = _cells(text)
        inputs = Inputs.of(found)
        files |= inputs.files
        if max(stat.st_ctime for stat in files.values()) < _process_start() - SETTLED_SECONDS:
            _write(path, shared, inputs.digest, text)
    return found


class Inputs(NamedTuple):
    """What cells take from outside our files: weights that backbones name, and sources, some of them of the user's."""

    files: Mapping[Path, os.stat_result]
    """State of the files of weights: it stands for their content, which would take long to read."""
    digest: str
    """Digest of that state, the commits of weights on a hub, and the identities of the sources."""

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> "Inputs":
        """As they are now."""
        files: dict[Path, os.stat_result] = {}
        commits = []
        for entry, name in backbones_of(cells):
            named = weight_files(name)
            files |= {path: path.stat() for path in named.values()}
            if not named:
                commits.append(weights_identity(entry, name))
        names = {name for cell in cells for name in cell.sources}
        sources = {name: identity(name) for name in sorted(names)}
        return cls(files, digest([commits, _stamps(files), sources]))


def _settings(plugins: Iterable[EntryPoint]) -> list[Any]:
    """All that cells depend on but files, weights and sources."""
    libraries = versions({name for about in suites().values() for name in about.libraries})
    variables = sorted((name, value) for name, value in os.environ.items() if name.startswith("SPARSEBENCH_"))
    named = sorted((point.group, point.name, point.value) for point in plugins)
    places = sorted(place.package for place in further_places())
    return [sys.version, device_kind(), fast_dtype("cpu"), sorted(libraries.items()), variables, named, places]


def _files(plugins: Iterable[EntryPoint]) -> Iterator[Path]:
    """Our own files, those of plug-ins, and those of suites of others."""
    for folder in FOLDERS:
        yield from files_below(HOME / folder, without=RESULTS)
    tops: set[str] = set()
    for point in plugins:
        tops |= set(top_packages(point))
    for suite in further_places():
        tops |= set(suite.companions)
    for top in sorted(tops):
        for place in places(top):
            yield from files_below(place) if place.is_dir() else [place.with_suffix(".py")]


def _plugins() -> list[EntryPoint]:
    found: list[EntryPoint] = []
    for group in GROUPS:
        found += entry_points(group=group)
    return found


def _stamps(files: Mapping[Path, os.stat_result]) -> list[list[Any]]:
    return [[str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for path, stat in files.items()]


def _process_start() -> float:
    """When this process began: modules that it has imported may be older than the files are now."""
    import psutil

    return psutil.Process().create_time()


def _read(path: Path, shared: str) -> list[Cell] | None:
    """The cells that a file holds for this state; None if it holds others, or is broken."""
    try:
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        about = json.loads(head)
        if about["shared"] != shared or about["check"] != digest(text):
            return None
        with no_collection():
            cells = _cells(text)
        return cells if about["inputs"] == Inputs.of(cells).digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, shared: str, inputs: str, cells: str) -> None:
    about = json.dumps({"shared": shared, "inputs": inputs, "check": digest(cells)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a plan needs no cache: where it cannot be kept, the next one takes longer
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(f"{about}\n{cells}", encoding="utf-8")
        temporary.replace(path)


def _cells(text: str) -> list[Cell]:
    found = []
    for fields in json.loads(text):
        info = fields.pop("info")
        then = [Link(**link) for link in info.pop("then")]
        info = CellInfo(**info, then=then)
        sources = tuple(fields.pop("sources"))
        found.append(Cell(info=info, sources=sources, **fields))
    return found
