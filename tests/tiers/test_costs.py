import json
from pathlib import Path

import pytest

from .costs import LEAST, Costs, functions, settled
from .selection import BUDGET, ROOM, standing

HOW = "`make costs` measures what is missing and forgets what is gone, `make test-long` measures everything"

FILE = """
def test_b(): ...


async def test_c(): ...


def helper(): ...


TEXT = '''
def test_d(): ...
'''
"""


def test_every_function_of_the_tree_has_a_cost_and_so_a_tier() -> None:
    present, known = set(functions()), set(Costs().known)
    assert present == known, f"{HOW}: missing {sorted(present - known)[:10]}, gone {sorted(known - present)[:10]}"


def test_make_test_keeps_its_budget() -> None:
    seconds = standing(functions(), Costs())
    assert seconds <= BUDGET - ROOM, f"make test costs {seconds:.0f} CPU seconds before anything is touched"


def test_functions_are_those_that_pytest_collects(request: pytest.FixtureRequest) -> None:
    """Where the whole tree is collected, nothing is there that the files do not show at first sight."""
    assert {item.nodeid.partition("[")[0] for item in request.session.items} <= set(functions())


def test_a_figure_stays_while_the_new_one_is_nearly_the_same() -> None:
    assert settled(None, 2.3456) == 2.3
    assert settled(2.0, 2.9) == settled(2.0, 1.4) == 2.0
    assert settled(2.0, 3.1) == 3.1
    assert settled(2.0, 1.3) == 1.3
    assert settled(None, 0.001) == settled(LEAST, 0.03) == LEAST


def test_costs_are_written_by_file_and_function_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "tests/speed").mkdir(parents=True)
    (tmp_path / "tests/test_a.py").write_text(FILE)
    (tmp_path / "tests/speed/test_d.py").write_text("def test_e(): ...\n")
    file = tmp_path / "tests" / "costs.json"
    costs = Costs(file)
    shared = {"tests/test_a.py::test_b": 7.0, "tests/test_a.py::test_c": 0.3}
    costs.update({"tests/test_a.py::test_b": 3.0, "tests/test_gone.py::test_b": 1.0}, shared, 20.0)
    costs.write()
    assert json.loads(file.read_text()) == {"collection": 20.0, "files": {"tests/test_a.py": {"test_b": [3.0, 7.0]}}}
    assert functions(tmp_path) == ["tests/test_a.py::test_b", "tests/test_a.py::test_c"]
    read = Costs(file)
    assert read.of("tests/test_a.py::test_b") == 10.0
    read.update({"tests/test_a.py::test_c": 0.5}, shared)
    assert read.known == {"tests/test_a.py::test_b": 3.0, "tests/test_a.py::test_c": 0.5}
    assert read.shared == {"tests/test_a.py::test_b": 7.0}
    assert (read.collection, read.of("tests/test_new.py::test_f")) == (20.0, 1.0)
