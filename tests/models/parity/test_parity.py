"""The table of parity: the committed one is that of the rows, and a row that exceeds what is allowed ends red."""

from pathlib import Path

import pytest

from ...tiers.costs import FUNCTION, ROOT
from ..agreement import Figure
from .measuring import Measured, measure
from .rows import Row, rows
from .table import COLUMNS, NAMED, NOTHING, committed, engine_lines, engines, lines, named, problems, rendered

GOOD = Figure("logits", 1e-6, 2.0, 1e-5)
ROW = Row("PEFT", "LoRA", "PEFT", "Llama", ("logits",), ("test_row.py::test_near", "test_row.py::test_more[1]"))
TESTS = """
import pytest
import torch
from tests.models.agreement import agree


def test_near():
    agree(torch.tensor([4.0, 2.0]), torch.tensor([4.0, 2.0 + {gap}]), "logits", within=1e-3)
    agree(torch.tensor([1.0]), torch.tensor([1.0]), "logits")


@pytest.mark.parametrize("case", [1, 2])
def test_more(case):
    agree(torch.ones(1), torch.ones(1) * case, "logits")


def test_other():
    raise AssertionError


def test_away():
    pytest.importorskip("no_such_package")
"""


def test_the_committed_table_is_that_of_the_rows() -> None:
    """Names; figures are those of whatever machine it was measured on, but none of them may be too large."""
    stored = committed()
    asked = [cells for row in rows() for cells in named(row)]
    count = len(stored) - len(engines())
    for found, expected, row in zip(stored[:count], asked, _by_line(), strict=True):
        assert (found[:2], found[3:NAMED]) == (expected[:2], expected[3:]), "run `make parity`"
        assert found[2].startswith(row.other) and len(found) == len(COLUMNS)
    assert stored[count:] == engines(), "run `make parity`: the table of engines is another"
    assert not [cells for cells in stored if any(cell.startswith("**") for cell in cells)]


def _by_line() -> list[Row]:
    return [row for row in rows() for _ in named(row)]


def test_rows_name_tests_that_there_are() -> None:
    for row in rows():
        assert bool(row.compared) != bool(row.refused), row.ours
        for test in row.tests:
            file, _, name = test.partition("[")[0].partition("::")
            assert name in FUNCTION.findall((ROOT / file).read_text(encoding="utf-8")), test


@pytest.mark.parametrize(
    ("measured", "cell", "red"),
    [
        (Measured({"logits": GOOD}, {}, {}), "1.0e-06", False),
        (Measured({"logits": GOOD._replace(difference=0.0)}, {}, {}), "bit-equal", False),
        (Measured({"logits": GOOD._replace(difference=2e-5)}, {}, {}), "**2.0e-05**", True),
        (Measured({"logits": GOOD._replace(difference=float("nan"))}, {}, {}), "**nan**", True),
        (Measured({"logits": GOOD}, {}, {"test_near": "AssertionError"}), "1.0e-06", True),
        (Measured({}, {}, {"test_near": "AssertionError"}), "**fails**", True),
        (Measured({}, {"test_near": "needs x"}, {}), "not run: needs x", False),
        (Measured({"gradients": GOOD}, {"test_near": "needs x"}, {}), "not run: needs x", True),
        (Measured({"logits": GOOD, "gradients": GOOD}, {}, {}), "1.0e-06", True),
    ],
)
def test_a_line_and_whether_it_is_red(measured: Measured, cell: str, red: bool) -> None:
    assert [cells[NAMED] for cells in lines(ROW, measured)] == [cell]
    assert bool(problems([ROW], [measured], [])) == red
    assert f"| {cell} |" in rendered([ROW], [measured], [])


def test_a_row_that_is_refused() -> None:
    row = ROW._replace(compared=(), refused="no counterpart")
    measured = Measured({}, {}, {})
    assert lines(row, measured)[0][NAMED - 1 : NAMED + 1] == [NOTHING, "refused: no counterpart"]
    assert not problems([row], [measured], [])
    assert problems([row], [Measured({"logits": GOOD}, {}, {})], [])


def test_tests_of_rows_are_run_and_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those alone, the worst of what each compares; what fails, is skipped or is not there."""
    (tmp_path / "test_row.py").write_text(TESTS.format(gap=1e-3))
    monkeypatch.chdir(tmp_path)
    near, more, away, lost, gone = (
        ROW._replace(tests=tuple(f"test_row.py::{test}" for test in tests.split()))
        for tests in ("test_near test_more[1]", "test_more", "test_away", "test_near test_lost", "test_other[1]")
    )
    found = dict(zip(("near", "more", "away", "lost", "gone"), measure([near, more, away, lost, gone]), strict=True))
    assert found["near"].figures["logits"].difference == pytest.approx(1e-3, rel=1e-3)
    assert not found["near"].problems(near) and found["near"].figures["logits"].scale == 4.0
    assert found["more"].figures["logits"].difference == 1.0 and len(found["more"].problems(more)) == 2
    assert "no_such_package" in next(iter(found["away"].skipped.values())) and not found["away"].problems(away)
    assert found["lost"].failed == {"test_row.py::test_lost": "there is no such test"}
    assert found["gone"].problems(gone)


def test_an_engine_that_is_off_is_red() -> None:
    """Lines of engines come from their table, and end red with it."""
    text = """- transformers: transformers 5.0; x86_64

| model | transformers | onnxruntime | vLLM | llama.cpp | compressed-tensors |
| --- | --- | --- | --- | --- | --- |
| Llama | Mixtral 1e-05 | Mixtral 0 | Mixtral 0 | {cell} | Mixtral 0 |
| GLM-4 | – | · | – | – (wrong from token 2) | – |
"""
    names = ("onnxruntime", "vLLM", "llama.cpp", "compressed-tensors")
    text = "".join(f"- {name}: {name} 1.0; x86_64\n" for name in names) + text
    shown_of = {"Mixtral 2e-04": "2.0e-04", "Mixtral off by 2e-02": "**inf**", "Mixtral does not run": "**inf**"}
    for cell, shown in shown_of.items():
        found = engine_lines(text.format(cell=cell))
        assert [line[NAMED] for line in found] == ["1.0e-05", "bit-equal", "bit-equal", shown, "bit-equal"]
        assert len(problems([], [], found)) == shown.startswith("**")
