import ast
import gc
import json
from pathlib import Path

import pytest

from . import mutants

SOURCE = '''
LIMIT = 3

def clip(x: int | None, low: int = 1) -> float:
    """At most 3 and 4."""
    if not x and x < low:
        raise ValueError(f"{x + 1} is below {low - 1}")
    return -x * 0.5
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "clip.py").write_text(SOURCE)
    return tmp_path / "clip.py"


def test_what_is_changed_is_code_that_functions_run(module: Path) -> None:
    assert sorted(mutant.what for mutant in mutants.mutants_of(module.name)) == [
        "-x * 0.5 -> -x / 0.5",
        "-x -> +x",
        "0.5 -> 1.5",
        "not x -> not not x",
        "not x and x < low -> not x or x < low",
        "x < low -> x <= low",
    ]


def test_functions_in_memory_get_the_changed_code(module: Path) -> None:
    scope: dict = {}
    exec(compile(ast.parse(SOURCE), str(module), "exec"), scope)
    assert scope["clip"](4) == -2
    gc.freeze()  # as at the end of collecting
    mutants.put_in(next(mutant for mutant in mutants.mutants_of(module.name) if mutant.what == "-x -> +x"))
    assert scope["clip"](4) == 2


def test_cases_of_the_own_tests_come_first_and_a_few_of_each_function() -> None:
    def case(seconds: float, line: int = 7) -> dict:
        return {"seconds": seconds, "lines": {"models/clip.py": [line]}}

    cases = {f"tests/far.py::test_wide[{number}]": case(0.1) for number in range(40)}
    cases |= {"tests/models/test_clip.py::test_own": case(1.9), "tests/models/test_clip.py::test_other": case(0.1, 9)}
    cases |= {
        "tests/far.py::test_dear": case(2.5),
        "tests/far.py::test_second": case(1.8),
        "tests/far.py::test_x": case(3),
    }
    chosen = mutants.chosen(mutants.Mutant("models/clip.py", 0, 6, 8, ""), cases)
    assert [name.partition("::")[2] for name in chosen] == [
        *(f"test_wide[{number}]" for number in (0, 10, 20, 30)),
        "test_own",
        "test_second",
    ]


def test_the_table_counts_and_names(tmp_path: Path) -> None:
    room = mutants.MODULES[0]
    killers = [["a"], ["a", "b"], ["time-out"], []]
    lines = [{"file": f"{room}/x.py", "line": 3, "what": "1 -> 2", "ran": ["a"], "killers": names} for names in killers]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = "\n".join(mutants.table(tmp_path / "out.jsonl"))
    assert f"| {room} | 4 | 3 | 1 | 1 | 0 | 1 | 1 |" in text
    assert f"- `{room}/x.py:3`: `1 -> 2` (1 functions ran)" in text
    assert "- `b` (1): `a` (2)" in text
