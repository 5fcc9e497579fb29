"""A file that a cell opens and that no part of its identity covers ends the cell, with the line to write.

An audit hook of Python sees every `open` in the cell's process and in what it forks. It does not see readers that open
files in C++ by themselves (pyarrow, safetensors, RDKit's suppliers): what they read has to be named by hand.

What may be read: the Python environment, the system, caches and settings below hidden folders of the home folder, the
temporary folder and the cell's checkpoints; of the cell, its sources, its weights, and those files of our suites or a
plug-in's package that its modules name in a text (`Tree.data`).
"""

import functools
import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparsebench.data.cache import cache_root
from sparsebench.data.errors import ChecksumError
from sparsebench.data.identity import is_unpinned
from sparsebench.data.own_files import PREFIX, is_own_file, own_place
from sparsebench.data.sources import source

from ..discovery.closure import HOME, TOP, places
from ..discovery.registry import Entry, find
from ..identity.cell import Cell, cell_entries, cell_key
from ..identity.fingerprint import covered, source_tree
from ..identity.weights import UNPINNED, weight_files

OURS = ("models", "data", "reports")
SUITES = HOME / "suites"
CHECKED = "*/weights"
"""Weights that came with a suite; what loads them compares them with a sum in its own file."""
SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/run", "/usr", "/lib", "/lib64", "/var/cache", "/System", "/Library")
FOLDER_VARIABLES = (
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "TORCH_HOME",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "MPLCONFIGDIR",
    "NLTK_DATA",
    "PYTHONPYCACHEPREFIX",
)
"""Where libraries keep caches and settings."""
CODE = (".py", ".pyc", ".pyi", ".pth", ".so", ".dylib")
"""Imports are followed by the code hash, not here."""
EVENTS = ("open", "sqlite3.connect")
PACKAGES = ("site-packages", "dist-packages")
METADATA = (".dist-info", ".egg-info")


class UnnamedFileError(RuntimeError):
    """A cell opened a file that its identity does not cover: its score would outlive a change of that file."""


@contextmanager
def only_named_files(cell: Cell, checkpoints: Path | None) -> Iterator[None]:
    """Refuse other files inside the block, in all threads of the process; files of the user's are those of the plan.

    Raises:
        UnnamedFileError: a file was opened that nothing names; from `open` itself, and again at the end of the block
            where somebody caught that.
        ChecksumError: what a source of the user's holds is not what the cell was planned with.
    """
    global _watch
    _install()
    _verify_unpinned(cell)
    before = _watch
    watch = _Watch(cell, checkpoints)
    _watch = watch
    try:
        yield
    finally:
        _watch = before
    if watch.refused is not None:
        raise UnnamedFileError(watch.refused)
    _verify_unpinned(cell)


class _Watch:
    """What one cell may open."""

    def __init__(self, cell: Cell, checkpoints: Path | None) -> None:
        self._cell = cell
        named = list(_of_cell(cell))
        always = [*_always(), cache_root(), *([] if checkpoints is None else [checkpoints])]
        self._packages, files = _packages(cell_entries(cell.info))
        self._files = {_whole(place) for place in named} | files
        self._named = tuple(_prefixes([*named, *SUITES.glob(CHECKED)]))
        self._always = (*_prefixes(always), f"{Path.home()}{os.sep}.")
        self._seen: set[str] = set()
        self.refused: str | None = None

    def look(self, path: str) -> None:
        """Raises `UnnamedFileError` unless the file may be read."""
        if path in self._seen:
            return
        self._seen.add(path)
        if self._may(path) or not Path(path).is_file():
            return
        real = os.path.realpath(path)
        if real == path or not self._may(real):
            self.refused = self.refused or _advice(self._cell, path)
            raise UnnamedFileError(self.refused)

    def _may(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if path in self._files or name.endswith(CODE) or folder.endswith(METADATA):
            return True
        for place in self._named:
            if path.startswith(place):
                return f"{os.sep}." not in path[len(place) - 1 :]  # hidden files are no part of a source's identity
        return not path.startswith(self._packages) and path.startswith(self._always)


_watch: _Watch | None = None


@functools.cache
def _install() -> None:
    """A hook cannot be taken out again; outside of a cell it does nothing."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _watch
    if watch is None or event not in EVENTS:
        return
    path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike) and not _writes(*arguments[1:]):
        watch.look(_whole(os.fsdecode(path)))


def _writes(mode: object = None, flags: int = 0) -> bool:
    """Whether nothing of what is there can be read."""
    return flags & os.O_ACCMODE == os.O_WRONLY or bool(flags & (os.O_TRUNC | os.O_EXCL))


def _whole(path: str | Path) -> str:
    """From the root and without `..`; links stay as they are."""
    return os.path.normpath(Path(path).absolute())


def _advice(cell: Cell, path: str) -> str:
    """The line to write; first, since what is said of a failure is cut after some hundred characters."""
    task = find("task", cell.info.task, cell.info.suite)
    sources = ", ".join(f'"{name}"' for name in (*task.sources, f"{PREFIX}{path}"))
    return (
        f"write `sources = ({sources},)` in {task.path.name}: the cell opened this file and nothing names it, "
        "so that its score would outlive a change of the file"
    )


def _verify_unpinned(cell: Cell) -> None:
    """The key of a cell covers what its user's own sources hold, so that another key says that they changed."""
    own = [name for name in cell.sources if is_unpinned(name)]
    unpinned = any(weights.get("commit") == UNPINNED for weights in cell.weights.values())
    if own and not unpinned and cell_key(cell.info, cell.sources) != cell.key:
        raise ChecksumError(
            f"{', '.join(own)}: another content since the run was planned: give the `run` command again, "
            "which plans with what is there now"
        )


@functools.cache
def _always() -> tuple[Path, ...]:
    """What every cell may read."""
    environment = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    environment |= {site.getusersitepackages(), tempfile.gettempdir(), *SYSTEM}
    environment |= {place for place in sys.path if Path(place).name in PACKAGES}
    for name in FOLDER_VARIABLES:
        environment |= {part for part in os.environ.get(name, "").split(os.pathsep) if part}
    ours = [HOME / folder for folder in OURS]
    return *map(Path, sorted(environment)), Path.home() / "nltk_data", *ours


def _prefixes(folders: Iterable[Path]) -> Iterator[str]:
    """How paths below these folders begin, as they are named and as they are."""
    for folder in folders:
        for place in (_whole(folder), os.path.realpath(folder)):
            if place != os.sep:
                yield place + os.sep


def _of_cell(cell: Cell) -> Iterator[Path]:
    """What the sources and the weights of a cell name: folders, and single files."""
    for name in cell.sources:
        if is_own_file(name):
            yield own_place(name)
        elif source(name).environment in os.environ:
            yield Path(os.environ[source(name).environment]).expanduser()
    for backbone in cell.weights:
        yield from weight_files(backbone).values()


@functools.lru_cache(64)
def _packages(entries: tuple[Entry, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """How paths in our suites and in the packages of plug-ins begin, and which files there the code hash covers."""
    tops = {entry.module.partition(".")[0] for entry in entries}
    for entry in entries:
        tops |= set(entry.companions)
    folders = [place for top in sorted(tops - {TOP}) for place in places(top) if place.is_dir()]
    tree = source_tree()
    files = frozenset(str(path) for module in covered(entries, tree) for path in tree.data(module))
    return tuple(_prefixes([SUITES, *folders])), files
