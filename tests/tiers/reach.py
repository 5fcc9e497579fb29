"""Which test files reach a changed file: the import closure of the runner, applied to tests.

In addition to what the closure of a cell follows, a test reaches

- `sparsebench.reports` and every describer, since a test may look at either;
- the `conftest.py` of each folder above it;
- modules whose dotted names stand in a string of its own (programs that it starts, with their `__main__`), and cards
  whose names do;
- every card, where it asks the registry itself;
- files of data whose name, stem or folder stands in a string of any module that it reaches.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparsebench.suites.runner.discovery.closure import TOP, Tree, _Walk
from sparsebench.suites.runner.discovery.modules import Taken

TESTS = "tests"
CARDS = ("methods", "tasks", "backbones")
REGISTRY = f"{TOP}.suites.runner.discovery.registry"
DOTTED = re.compile(rf"\b(?:{TOP}|{TESTS})(?:\.\w+)+")


class Reach(_Walk):
    """All imports of all test files, followed once.

    Args:
        root: the folder that holds `tests` and the package's folders.
    """

    def __init__(self, root: Path) -> None:
        tree = Tree(root)
        tree._places[TESTS] = (root / TESTS,)
        super().__init__(tree, (), frozenset({TOP, TESTS}), costs=True)
        self._root = root
        self._users: dict[Taken, list[Taken]] = {}
        self._nodes: dict[str, list[Taken]] = {}
        self._cards = _cards(root)
        self._tests = {path: Taken(self._name(path)) for path in sorted((root / TESTS).rglob("test_*.py"))}
        self._waiting += self._tests.values()
        self.run()

    def touched(self, changed: Iterable[str]) -> set[str]:
        """The test files that reach one of the changed files; all paths are relative to the root."""
        waiting = [node for path in changed for node in self._nodes_of(Path(path))]
        seen = set(waiting)
        while waiting:
            for user in self._users.get(waiting.pop(), ()):
                if user not in seen:
                    seen.add(user)
                    waiting.append(user)
        return {path.relative_to(self._root).as_posix() for path, node in self._tests.items() if node in seen}

    def _counts(self, module: str) -> bool:
        return module.partition(".")[0] in self._tops

    def _take(self, taken: Taken) -> None:
        first = len(self._waiting)
        super()._take(taken)
        if taken.module.partition(".")[0] == TESTS:
            self._waiting += self._from_test(taken.module)
        for used in self._waiting[first:]:
            self._users.setdefault(used, []).append(taken)
        self._nodes.setdefault(taken.module, []).append(taken)

    def _take_submodules(self, package) -> None:
        self._waiting += [Taken(name) for name in self._tree.submodules(package.name)]

    def _from_test(self, name: str) -> Iterator[Taken]:
        """What a module of the tests reaches without an import statement."""
        module = self._tree.module(name)
        if module is None:
            return
        parts = name.split(".")
        for length in range(1, len(parts)):
            conftest = ".".join([*parts[:length], "conftest"])
            if self._tree.file(conftest) is not None:
                yield Taken(conftest)
        for text in module.strings:
            yield from self._named_in(text)
        if any(taken.module == REGISTRY for taken in module.imports):
            for cards in self._cards.values():
                yield from cards

    def _named_in(self, text: str) -> Iterator[Taken]:
        yield from self._cards.get(text, ())
        for dotted in DOTTED.findall(text):
            parts = dotted.split(".")
            for length in range(len(parts), 1, -1):
                name = ".".join(parts[:length])
                if self._tree.file(name) is not None:
                    yield Taken(name)
                    yield Taken(f"{name}.__main__")
                    break

    def _nodes_of(self, path: Path) -> list[Taken]:
        """The nodes of the walk that a changed file is part of."""
        if path.suffix == ".py":
            return self._nodes_of_module(self._name(self._root / path))
        words = {path.name, path.stem, *path.parts[1:-1]}
        nodes = []
        for name, module in self._found.items():
            own_part = module.path.relative_to(self._root).parts[:2] == path.parts[:2]
            if (own_part or name.startswith(f"{TESTS}.")) and module.strings & words:
                nodes += self._nodes.get(name, [])
        return nodes

    def _nodes_of_module(self, name: str) -> list[Taken]:
        """Those of the module; for a package, whose `__init__` is run first, those of all that lies in it too."""
        inside = f"{name}."
        file = self._tree.file(name)
        package = file is not None and file.name == "__init__.py"
        nodes = list(self._nodes.get(name, ()))
        if package:
            for other, taken in self._nodes.items():
                if other.startswith(inside):
                    nodes += taken
        return nodes

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self._root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        return ".".join(parts if parts[0] == TESTS else (TOP, *parts))


def _cards(root: Path) -> dict[str, list[Taken]]:
    """The cards of methods, tasks and backbones by their names."""
    found: dict[str, list[Taken]] = {}
    for folder in CARDS:
        for path in sorted((root / "suites").rglob(f"{folder}/**/*.py")):
            if not path.stem.startswith("_"):
                name = ".".join((TOP, *path.relative_to(root).with_suffix("").parts))
                found.setdefault(path.stem, []).append(Taken(name))
    return found
