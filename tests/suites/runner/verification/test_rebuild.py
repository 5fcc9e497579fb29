"""A record's own description gives its cell again; what is gone since is told."""

import dataclasses
from itertools import chain
from typing import Any

import pytest

from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store, stores_in
from sparsebench.suites.runner.discovery.closure import HOME
from sparsebench.suites.runner.execution.execute import failure, now
from sparsebench.suites.runner.identity.cell import Cell, cell_key
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of
from sparsebench.suites.runner.verification import rebuild
from sparsebench.suites.runner.verification.rebuild import CellGoneError, cell_of, device_here, known_keys, same_work


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """A chain, a method whose seed matters, and one that cannot run on this backbone."""
    plan = SuitePlan(
        suite="vtab",
        methods=(Row(chain_of("sparse_adapter+linear_probe")), Row(chain_of("lora")), Row(chain_of("training_set"))),
        tasks=(TaskRow("synthetic"),),
        backbones=("tiny",),
        seeds=2,
        budget={"epochs": 1},
    )
    return list(cells_of(Profile("mine", (plan,))))


def record_of(planned: Cell, **fields: Any) -> Record:
    return dataclasses.replace(failure(planned, "failed", "why", started=now()), **fields)


def changed(planned: Cell, **fields: Any) -> Record:
    return record_of(planned, cell=dataclasses.replace(planned.info, **fields))


def test_the_cell_is_the_planned_one_but_for_the_profile(cells: list[Cell]) -> None:
    assert {cell.reason is None for cell in cells} == {True, False}
    assert {cell.planned_seeds for cell in cells} >= {2}
    for cell in cells:
        again = cell_of(record_of(cell))
        assert again.id == cell.id
        assert again == dataclasses.replace(cell, timeout=again.timeout, checkpoints=again.checkpoints)


def test_key_and_code_are_those_of_today_and_not_of_the_record(cells: list[Cell]) -> None:
    again = cell_of(record_of(cells[0], id="old", key="old", code="old"))
    assert (again.key, again.code) == (cells[0].key, cells[0].code)


def test_records_from_before_planned_seeds_have_one(cells: list[Cell]) -> None:
    again = cell_of(record_of(cells[0], seeds={"replicate": 0}))
    assert (again.planned_seeds, again.stochastic) == (1, False)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"suite": "vtap"}, "unknown suite 'vtap'"),
        ({"task": "synthetik"}, "unknown task 'synthetik'.*did you mean synthetic"),
        ({"backbone": "tinny"}, "unknown backbone 'tinny'"),
        ({"method": "loro"}, "unknown method 'loro'"),
        ({"config": {"gone": 1}}, "unknown key 'gone'"),
        ({"budget": {"gone": 1}}, "budget: unknown key 'gone'"),
        ({"dtype": "float23"}, "unknown dtype 'float23'; did you mean float32"),
        ({"further_backbones": ["tinny"]}, "unknown backbone 'tinny'"),
    ],
)
def test_what_is_gone_is_told_with_the_record(cells: list[Cell], fields: dict[str, Any], said: str) -> None:
    record = changed(next(cell for cell in cells if cell.info.method == "lora"), **fields)
    with pytest.raises(CellGoneError, match=f"record {record.id} cannot be run here: .*{said}"):
        cell_of(record)


@pytest.mark.parametrize(
    ("then", "here", "expected"),
    [
        ({"device": "cuda"}, "cuda", "cuda"),
        ({"device": "cuda"}, "cpu", "cpu"),
        ({"device": "cpu"}, "cuda", "cpu"),
        ({"accelerator": "A100"}, "cuda", "cuda"),
    ],
)
def test_the_device_is_the_records_where_there_is_one(
    cells: list[Cell], monkeypatch: pytest.MonkeyPatch, then: dict[str, str], here: str, expected: str
) -> None:
    monkeypatch.setattr(rebuild, "device_kind", lambda: here)
    assert device_here(record_of(cells[0], environment=then)) == expected


@pytest.mark.parametrize(
    ("status", "seconds", "timeout"),
    [
        ("timeout", 4.0, 4.0),
        ("timeout", 0.0, rebuild.TIMEOUT_SECONDS),
        ("failed", 4.0, rebuild.TIMEOUT_SECONDS),
        ("failed", 1000.0, 1000.0 * rebuild.TIMES_AS_LONG),
    ],
)
def test_what_ran_out_of_time_gets_the_same_and_the_rest_plenty(
    cells: list[Cell], status: str, seconds: float, timeout: float
) -> None:
    record = record_of(cells[0], status=status, times={"total": seconds})
    assert cell_of(record).timeout == timeout


def test_seeds_of_a_row_are_the_same_work_and_nothing_else_is(cells: list[Cell]) -> None:
    one = record_of(cells[0])
    assert same_work(one, changed(cells[0], seed=7))
    for fields in ({"config": {"blocks": 1}}, {"budget": {"epochs": 2}}, {"task": "other"}, {"backbone": "other"}):
        assert not same_work(one, changed(cells[0], **fields))


def test_every_committed_score_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit: 87 of them could not, since an option of their method was renamed. The seeds of a row are one question."""
    monkeypatch.setattr(rebuild, "code_hash", lambda *arguments: "code")  # it takes most of the time, and always works
    rows: dict[str, Record] = {}
    committed = [Store(folder).read_all()[0] for folder in stores_in(HOME / "reports" / "results")]
    for record in chain.from_iterable(committed):
        if record.status == "ok":
            rows.setdefault(str(dataclasses.replace(record.cell, seed=0)), record)
    assert len(rows) > 100
    for record in rows.values():
        cell_of(record)


def test_the_words_of_a_record_are_not_another_key(cells: list[Cell]) -> None:
    config = {"preset": "1p7top1", "strict_release": True}
    old = changed(cells[0], method="llama_moe_v2", config=config, then=[])
    planned = cell_of(old)
    assert planned.info.config == {"preset": "1p7top1", "faithful": True}
    for budget in ({"epochs": 1}, {"epochs": 1, "train_share": 0.1}):
        key = cell_key(dataclasses.replace(old.cell, budget=budget), planned.parts, planned.sources)
        today = {name.replace("share", "fraction"): value for name, value in budget.items()}
        assert key in known_keys(changed(cells[0], **{**vars(old.cell), "budget": today}), planned)
    assert planned.key not in known_keys(old, planned)
