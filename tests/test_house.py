"""The shape of the house: no circles, one test twin by path for each module, no folder of dozens of siblings."""

from pathlib import Path

import grimp
import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("models", "data", "suites", "reports")
CARDS = ("methods", "tasks", "backbones")
"""Folders of cards, which the conformance battery and the tests of their suite run through one by one."""
MOST_SIBLINGS = 18


def modules() -> list[Path]:
    """Every module of the four folders, relative to the root, but packages' `__init__` and `__main__`."""
    files = []
    for room in ROOMS:
        files += [path.relative_to(ROOT) for path in sorted((ROOT / room).rglob("*.py"))]
    return [path for path in files if not path.stem.startswith("__")]


def is_card(path: Path) -> bool:
    return path.parent.name in CARDS and not path.stem.startswith("_")


def test_every_module_has_its_twin() -> None:
    missing = []
    for path in modules():
        twin = Path("tests") / path.parent / f"test_{path.stem.lstrip('_')}.py"
        if not is_card(path) and not (ROOT / twin).is_file():
            missing.append(f"{path} needs {twin}")
    assert not missing, "\n".join(missing)


def test_no_folder_holds_dozens_of_siblings() -> None:
    siblings: dict[Path, int] = {}
    for path in modules():
        if not is_card(path):
            siblings[path.parent] = siblings.get(path.parent, 0) + 1
    crowded = {str(folder): count for folder, count in siblings.items() if count > MOST_SIBLINGS}
    assert not crowded, f"more than {MOST_SIBLINGS} modules side by side: find the concept that groups them: {crowded}"


@pytest.fixture(scope="module")
def arrows() -> list[tuple[str, str]]:
    """Who imports whom, imports inside functions and for type checkers included."""
    graph = grimp.build_graph(*(f"sparsebench.{room}" for room in ROOMS), cache_dir=None)
    found = []
    for importer in sorted(graph.modules):
        found += [(importer, imported) for imported in sorted(graph.find_modules_directly_imported_by(importer))]
    assert len(found) > 500
    return found


def circles(arrows: list[tuple[str, str]]) -> list[list[str]]:
    return [sorted(group) for group in nx.strongly_connected_components(nx.DiGraph(arrows)) if len(group) > 1]


def test_no_circle_of_modules(arrows: list[tuple[str, str]]) -> None:
    assert circles(arrows) == []


def test_no_circle_of_rooms(arrows: list[tuple[str, str]]) -> None:
    """At every level: the children of a package, each with all that lies in it, import each other one way only."""
    packages = {module.rpartition(".")[0] for arrow in arrows for module in arrow}
    for package in sorted(packages):
        depth = package.count(".") + 2
        inside = []
        for arrow in arrows:
            rooms = [".".join(module.split(".")[:depth]) for module in arrow if module.startswith(package + ".")]
            if len(rooms) == 2 and rooms[0] != rooms[1]:
                inside.append((rooms[0], rooms[1]))
        assert circles(inside) == [], f"inside {package}"


def test_circles_are_found() -> None:
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]) == [["a", "b", "c"]]
