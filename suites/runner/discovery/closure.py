"""Which files a score passes through, found by following import statements without running anything.

Our own modules are followed, and those of the distribution that brings a plug-in; other libraries are known by their
versions. What counts:

- A module that is imported, inside a function too, with the `__init__` of every package above it.
- What an `__init__` imports counts only for the names that somebody takes from that package: its face shows many
  siblings, and importing a module of ours only defines things.
- `import_module(f"package.{name}")` may import any module of that package, so all of them count. The one exception
  is `models.describers`: of these, only those that are imported, or that the backbone's file names, since
  `describe` chooses by the class of the model, and no other cell shall be stale when a family is added.
- A file of data (a kernel, weights) counts where a module states its name as a string.
- `sparsebench.reports` does not count: it keeps scores and prints them.
- What a module uses to measure costs alone (`MEASURED_WITH`) is no part of the score; where another module takes the
  same file to score with (a search that prices what it removes), it is.
"""

import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sparsebench.data.cache import sha256_of

from ..errors import UsageError
from .modules import EVERYTHING, SUBMODULES, Module, Taken

TOP = "sparsebench"
HOME = Path(__file__).parents[3]
"""The folder that is the package `sparsebench`: it holds models, data, suites and reports."""
REPORTS = f"{TOP}.reports"
DESCRIBERS = f"{TOP}.models.describers"
MEASURED_WITH: Mapping[str, frozenset[str]] = {
    f"{TOP}.{module}": frozenset(f"{TOP}.{name}" for name in names)
    for module, names in {
        "suites.contracts.context": ["suites.contracts.training_costs"],
        "suites.contracts.task": ["suites.contracts.costs"],
        "suites.prediction.chosen": ["suites.contracts.training_costs"],
        "suites.prediction.frozen_features": ["models.counting"],
        "suites.prediction.task": ["models.counting"],
        "suites.runner.execution.scoring": ["suites.contracts.costs"],
        "suites.training.result": ["suites.contracts.costs"],
        "suites.training.run": ["models.counting", "suites.training.machine.attribution"],
    }.items()
}
"""Module to the modules that it only measures costs with: operations, parameters, time, memory."""
NOT_DATA = (".py", ".pyc", ".md", ".typed")


class Tree:
    """Source files of ours and of plug-ins, each read once.

    Args:
        home: the folder that is the package `sparsebench`.
    """

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        self._places: dict[str, tuple[Path, ...]] = {TOP: (home,)}
        self._modules: dict[str, Module | None] = {}
        self._data: dict[Path, Mapping[str, Sequence[Path]]] = {}
        self._data_of: dict[str, list[Path]] = {}
        self._submodules: dict[str, list[str]] = {}
        self._closures: dict[tuple[str, frozenset[str], bool], dict[str, Module]] = {}
        self._checksums: dict[Path, str] = {}

    def file(self, name: str) -> Path | None:
        """The file of a module; None for what is no file of Python: a namespace package, a class, a function."""
        top, *rest = name.split(".")
        if top not in self._places:
            self._places[top] = places(top)
        for place in self._places[top]:
            below = place.joinpath(*rest)
            for file in (below / "__init__.py", below.with_name(f"{below.name}.py")):
                if file.is_file():
                    return file
        return None

    def module(self, name: str) -> Module | None:
        """The module of that name; None where there is no file. Raises `UsageError` for a file that is no Python."""
        if name not in self._modules:
            file = self.file(name)
            self._modules[name] = _parsed(name, file) if file is not None else None
        return self._modules[name]

    def submodules(self, package: str) -> list[str]:
        """Names of the modules and packages that lie directly in a package."""
        if package not in self._submodules:
            file = self.file(package)
            names: set[str] = set()
            if file is not None:
                names |= {path.stem for path in file.parent.glob("*.py") if path != file}
                names |= {path.parent.name for path in file.parent.glob("*/__init__.py")}
            self._submodules[package] = [f"{package}.{name}" for name in sorted(names)]
        return self._submodules[package]

    def closure(self, roots: Iterable[str], companions: Iterable[str] = (), *, costs: bool = True) -> list[Module]:
        """The modules that a score of these root modules passes through, sorted by name.

        Args:
            roots: names of modules.
            companions: further top-level packages whose modules are followed.
            costs: with those that only its costs pass through.

        Raises:
            UsageError: a root is no module.
        """
        roots = set(roots)
        tops = frozenset({TOP, *(root.partition(".")[0] for root in roots), *companions})
        found: dict[str, Module] = {}
        for name in sorted(roots):
            if self.module(name) is None:
                raise UsageError(f"there is no file of the module {name!r}: reinstall the package that brings it")
            # Kept by root: cells share most of theirs, and what roots reach together is what each reaches.
            if (name, tops, costs) not in self._closures:
                self._closures[name, tops, costs] = _Walk(self, (name,), tops, costs).run()
            found |= self._closures[name, tops, costs]
        return [found[name] for name in sorted(found)]

    def checksum(self, path: Path) -> str:
        """sha256 of a file of data."""
        if path not in self._checksums:
            self._checksums[path] = sha256_of(path)
        return self._checksums[path]

    def data(self, module: Module) -> list[Path]:
        """The files of data that the module names.

        They are sought in its part of the package: all below `suites/llm` for `suites.llm.tasks.piqa`, all of a
        plug-in's own package.
        """
        if module.name not in self._data_of:
            self._data_of[module.name] = self._found_data(module)
        return self._data_of[module.name]

    def _found_data(self, module: Module) -> list[Path]:
        packages = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
        if not packages:
            return []
        depth = 3 if packages[0] == TOP else 1
        files = self._data_below(module.path.parents[max(0, len(packages) - depth)])
        found: list[Path] = []
        for name in sorted(module.strings & files.keys()):
            found += files[name]
        return found

    def _data_below(self, folder: Path) -> Mapping[str, Sequence[Path]]:
        """Files of data by their names."""
        if folder not in self._data:
            found: dict[str, list[Path]] = {}
            for path in files_below(folder):
                if path.suffix not in NOT_DATA:
                    found.setdefault(path.name, []).append(path)
            self._data[folder] = found
        return self._data[folder]


def _parsed(name: str, file: Path) -> Module:
    try:
        return Module(name, file)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read: {type(error).__name__}: {error}") from error


class _Walk:
    """One walk along the imports."""

    def __init__(self, tree: Tree, roots: Sequence[str], tops: frozenset[str], costs: bool) -> None:
        self._tree = tree
        self._tops = tops
        self._costs = costs
        self._waiting = [Taken(root) for root in roots]
        self._seen: set[Taken] = set()
        self._found: dict[str, Module] = {}

    def run(self) -> dict[str, Module]:
        """By name."""
        while self._waiting:
            taken = self._waiting.pop()
            if taken not in self._seen and self._counts(taken.module):
                self._seen.add(taken)
                self._take(taken)
        return self._found

    def _counts(self, module: str) -> bool:
        return module.partition(".")[0] in self._tops and not f"{module}.".startswith(f"{REPORTS}.")

    def _take(self, taken: Taken) -> None:
        self._count_with_packages(taken.module)
        module = self._tree.module(taken.module)
        if module is None:
            self._take_from_namespace(taken)
        elif module.is_package:
            self._take_from_package(module, taken.name)
        else:
            measures = MEASURED_WITH.get(module.name, ()) if not self._costs else ()
            self._waiting += [name for name in module.imports if name.module not in measures]

    def _take_from_namespace(self, taken: Taken) -> None:
        """A package without `__init__` has no code and no names: only its modules can be meant."""
        if taken.name not in (EVERYTHING, SUBMODULES):
            self._waiting.append(Taken(f"{taken.module}.{taken.name}"))

    def _take_from_package(self, package: Module, name: str) -> None:
        origin = package.bound.get(name)
        child = Taken(f"{package.name}.{name}")
        if name == EVERYTHING or name in package.defined:
            self._waiting += package.imports
        elif name == SUBMODULES:
            self._take_submodules(package)
        elif origin is not None and origin != (package.name, name):
            self._waiting.append(origin)
        elif self._tree.module(child.module) is not None:
            self._waiting.append(child)
        else:  # the package gets at the name in a way that cannot be read: it may come from anywhere in it
            self._waiting += package.imports
            self._take_submodules(package)

    def _take_submodules(self, package: Module) -> None:
        if package.name != DESCRIBERS:
            self._waiting += [Taken(name) for name in self._tree.submodules(package.name)]

    def _count_with_packages(self, name: str) -> None:
        """A module that is counted already came with its packages."""
        while name and name not in self._found:
            module = self._tree.module(name)
            if module is not None:
                self._found[module.name] = module
            name = name.rpartition(".")[0]


def files_below(folder: Path, without: Path | None = None) -> Iterator[Path]:
    """All files below a folder in a fixed order, but for hidden ones, Python's own caches and the folder `without`."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        if without is not None and without.name in folders and Path(place) == without.parent:
            folders.remove(without.name)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place, name)


def places(top: str) -> tuple[Path, ...]:
    """Where a top-level package lies, or a module of one file (without its suffix). Nothing of it is run."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations:
        return tuple(map(Path, spec.submodule_search_locations))
    return (Path(spec.origin).with_suffix(""),) if spec.origin else ()
