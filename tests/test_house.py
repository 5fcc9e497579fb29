"""The shape of the house: no circles, one test twin by path for each module, rooms that can be drawn from memory."""

from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("models", "data", "suites", "reports")
CARDS = {"methods", "tasks", "backbones"}
"""Folders of cards, which the conformance battery and the tests of their suite run through one by one."""
MOST_CHILDREN = 30
MOST_ARROWS = 75
MOST_FLOORS = 10
"""What one picture of a package may hold: its modules, cards too, and packages; who uses whom; the longest chain."""


def modules() -> list[Path]:
    """Every module of the four folders, relative to the root, but packages' `__init__` and `__main__`."""
    files = []
    for room in ROOMS:
        files += [path.relative_to(ROOT) for path in sorted((ROOT / room).rglob("*.py"))]
    return [path for path in files if not path.stem.startswith("__")]


def is_card(path: Path) -> bool:
    in_room_of_methods = path.parts[:2] == ("suites", "methods")
    return (not CARDS.isdisjoint(path.parts[-3:-1]) or in_room_of_methods) and not path.stem.startswith("_")


def test_every_public_module_has_its_twin() -> None:
    """Public: a module whose name begins with an underscore is tested through those that use it."""
    missing = []
    for path in modules():
        twin = Path("tests") / path.parent / f"test_{path.stem}.py"
        private = path.stem.startswith("_")
        if not private and not is_card(path) and not (ROOT / twin).is_file():
            missing.append(f"{path} needs {twin}")
    assert not missing, "\n".join(missing)


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


def pictures(arrows: list[tuple[str, str]]) -> Iterator[tuple[str, nx.DiGraph]]:
    """Each package with its children, each of them with all that lies in it, as a graph of who uses whom."""
    names = {module for arrow in arrows for module in arrow}
    for package in sorted({name.rpartition(".")[0] for name in names}):
        depth = package.count(".") + 2
        children = {".".join(name.split(".")[:depth]) for name in names if name.startswith(package + ".")}
        picture = nx.DiGraph()
        picture.add_nodes_from(children)
        for arrow in arrows:
            ends = [".".join(module.split(".")[:depth]) for module in arrow]
            if children.issuperset(ends) and ends[0] != ends[1]:
                picture.add_edge(*ends)
        yield package, picture


def test_no_circle_of_rooms(arrows: list[tuple[str, str]]) -> None:
    """At every level: the children of a package import each other one way only."""
    for package, picture in pictures(arrows):
        assert circles(list(picture.edges)) == [], f"inside {package}"


def test_every_picture_can_be_drawn(arrows: list[tuple[str, str]]) -> None:
    crowded = []
    for package, picture in pictures(arrows):
        found = (len(picture), picture.number_of_edges(), nx.dag_longest_path_length(picture) + 1)
        if any(number > most for number, most in zip(found, (MOST_CHILDREN, MOST_ARROWS, MOST_FLOORS), strict=True)):
            crowded.append(f"{package}: {found}")
    assert not crowded, f"children, arrows, floors; find the concept that groups them: {crowded}"


def test_circles_are_found() -> None:
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]) == [["a", "b", "c"]]
