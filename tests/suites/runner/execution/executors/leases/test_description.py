"""What a plan says of itself, and what is said where two of them differ."""

import dataclasses
import json

import pytest

from sparsebench.suites.runner.execution.executors.leases.description import describe, difference, plan_lines
from sparsebench.suites.runner.identity.agreement import identity_lines
from sparsebench.suites.runner.identity.cell import Cell


def test_equal_plans_do_not_differ_though_one_was_read_from_a_file(planned: list[Cell]) -> None:
    theirs = json.loads(json.dumps(describe("mine", "exact", planned)))
    assert difference(theirs, describe("mine", "exact", list(planned))) == ""


def test_the_lines_are_those_of_all_cells_each_once(planned: list[Cell]) -> None:
    lines = plan_lines(planned)
    assert lines == sorted(set(lines))
    assert set(lines) == {line for cell in planned for line in identity_lines(cell)}
    probe = [cell for cell in planned if cell.info.method == "linear_probe"]
    assert set(plan_lines(probe)) < set(lines), "the code of lora stands in the lines of its own cells alone"


def test_cells_of_one_kind_are_looked_at_once(planned: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    module = "sparsebench.suites.runner.execution.executors.leases.description"
    monkeypatch.setattr(f"{module}.identity_lines", lambda cell: asked.append(cell.info.method) or [])
    plan_lines(planned)
    assert sorted(asked) == ["linear_probe", "lora"]


@pytest.mark.parametrize(
    ("name", "reuse", "said"),
    [
        ("other", "exact", "4 cells of other with --reuse exact here, 4 cells of mine with --reuse exact there"),
        ("mine", "none", "4 cells of mine with --reuse none here, 4 cells of mine with --reuse exact there"),
    ],
)
def test_another_name_and_another_reuse_are_told(planned: list[Cell], name: str, reuse: str, said: str) -> None:
    assert difference(describe("mine", "exact", planned), describe(name, reuse, planned)) == said


def test_other_cells_and_another_order_are_told(planned: list[Cell]) -> None:
    theirs = describe("mine", "exact", planned)
    fewer = describe("mine", "exact", planned[:3])
    assert difference(theirs, fewer).startswith("3 cells of mine ")
    other_key = [*planned[:3], dataclasses.replace(planned[3], key="other")]
    for others in (planned[::-1], other_key):
        assert "4 cells of mine" in difference(theirs, describe("mine", "exact", others))


def test_what_differs_on_the_machines_goes_before_and_is_named(planned: list[Cell]) -> None:
    theirs = describe("mine", "exact", planned)
    lines = [line.replace("device cpu", "device tpu") for line in theirs["lines"]]
    ours = describe("other", "exact", planned) | {"lines": lines}
    assert difference(theirs, ours) == "device (tpu here, cpu there)"
