"""What a cell may read without anybody having named it, and what it names.

The Python environment, the system, caches and settings below hidden folders of the home folder, the temporary folder
and the cell's checkpoints; of the cell, its sources, its weights, and those files of our suites or a plug-in's package
that its modules name in a text (`Tree.data`).
"""

import functools
import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparsebench.data.cache import cache_root
from sparsebench.data.own_files import is_own_file, own_place
from sparsebench.data.sources import source

from ..discovery.closure import HOME, TOP, places
from ..discovery.registry import Entry
from ..identity.cell import Cell
from ..identity.fingerprint import covered, source_tree
from ..identity.weights import weight_files

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
PACKAGES = ("site-packages", "dist-packages")
METADATA = (".dist-info", ".egg-info")


class Readable:
    """What one cell may read; `checkpoints` is the folder of its own, if it has one."""

    def __init__(self, cell: Cell, checkpoints: Path | None) -> None:
        named = list(_of_cell(cell))
        always = [*_always(), cache_root(), *([] if checkpoints is None else [checkpoints])]
        self._packages, files = _packages(cell.parts.entries)
        self._files = {whole(place) for place in named} | files
        self._named = tuple(_prefixes([*named, *SUITES.glob(CHECKED)]))
        self._always = (*_prefixes(always), f"{_home()}{os.sep}.")

    def allows(self, path: str) -> bool:
        """Whether a file may be read, by its whole path or by that of the file that it links to."""
        return self._allows(path) or self._allows(os.path.realpath(path))

    def _allows(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if path in self._files or name.endswith(CODE) or folder.endswith(METADATA):
            return True
        for place in self._named:
            if path.startswith(place):
                return f"{os.sep}." not in path[len(place) - 1 :]  # hidden files are no part of a source's identity
        return not path.startswith(self._packages) and path.startswith(self._always)


def whole(path: str | Path) -> str:
    """From the root and without `..`; links stay as they are."""
    return os.path.normpath(Path(path).absolute())


@functools.cache
def _always() -> tuple[Path, ...]:
    """What every cell may read."""
    environment = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    environment |= {site.getusersitepackages(), tempfile.gettempdir(), *SYSTEM}
    environment |= {place for place in sys.path if Path(place).name in PACKAGES}
    for name in FOLDER_VARIABLES:
        environment |= {part for part in os.environ.get(name, "").split(os.pathsep) if part}
    ours = [HOME / folder for folder in OURS]
    return *map(Path, sorted(environment)), _home() / "nltk_data", *ours


def _home() -> Path:
    """A user without a home folder keeps nothing there."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def _prefixes(folders: Iterable[Path]) -> Iterator[str]:
    """How paths below these folders begin, as they are named and as they are."""
    for folder in folders:
        for place in (whole(folder), os.path.realpath(folder)):
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
