"""The key of a cell: what it is, without what it is called."""

import pickle
from dataclasses import replace

from sparsebench.reports.records.record import CellInfo, Link
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.runner.identity.cell import Cell, backbones_of, cell_key, record_id

INFO = CellInfo(
    suite="molecules",
    suite_version="1",
    task="freesolv",
    task_version="1",
    group="a",
    method="linear_probe",
    label="probe",
    config={"rate": 1},
    backbone="ecfp4",
    seed=0,
    budget={"epochs": 1},
    dtype="float32",
)


def key_of(info: CellInfo, sources: tuple[str, ...]) -> str:
    return cell_key(info, parts_of(info), sources)


def test_everything_but_label_and_group_is_in_the_key() -> None:
    key = key_of(INFO, ())
    assert key_of(replace(INFO, label="other", group="b"), ()) == key
    changes = [
        {"suite_version": "2"},
        {"task": "bace"},
        {"task_version": "2"},
        {"method": "random_forest"},
        {"config": {"rate": 2}},
        {"backbone": "gin"},
        {"seed": 1},
        {"budget": {"epochs": 2}},
        {"dtype": "bfloat16"},
        {"further_backbones": ["gin"]},
        {"then": [Link(method="random_forest")]},
        {"then": [Link(method="random_forest", config={"trees": 2})]},
        {"then": [Link(method="random_forest"), Link(method="linear_probe")]},
        {"then": [Link(method="linear_probe"), Link(method="random_forest")]},
    ]
    keys = {key_of(replace(INFO, **change), ()) for change in changes}
    assert len(keys) == len(changes) and key not in keys
    assert key_of(INFO, ("moleculenet",)) != key


def test_an_option_that_came_later_counts_where_it_is_not_at_its_default() -> None:
    before = replace(INFO, method="tune", config={"train": "all"})
    same = replace(INFO, method="tune", config={"train": "all", "keep_zeros": False})
    other = replace(INFO, method="tune", config={"train": "all", "keep_zeros": True})
    assert key_of(same, ()) == key_of(before, ()) != key_of(other, ())
    chained = [replace(INFO, then=[Link(method="tune", config=each.config)]) for each in (before, same, other)]
    assert key_of(chained[0], ()) == key_of(chained[1], ()) != key_of(chained[2], ())


def test_the_key_of_a_single_method_is_that_of_records_without_chains() -> None:
    """The number was computed before there were chains: `--reuse always` finds such records."""
    assert key_of(INFO, ()) == "2711476dd4e8e4ab"


def test_the_name_of_a_record_is_key_and_code() -> None:
    cell = Cell(info=INFO, key="k", code="c", device="cpu", timeout=1.0, sources=())
    assert cell.id == record_id("k", "c") != record_id("c", "k")
    assert cell.title == "molecules/freesolv probe on ecfp4 seed 0"
    taught = replace(cell, info=replace(INFO, further_backbones=["gin:64x3"]))
    assert taught.title == "molecules/freesolv probe on ecfp4 with gin:64x3 seed 0"


def test_entries_and_their_sources() -> None:
    parts = parts_of(INFO)
    assert parts.entries == (
        find("method", "linear_probe"),
        find("task", "freesolv", "molecules"),
        find("backbone", "ecfp4", "molecules"),
    )
    assert set(parts.sources) == set(parts.task.sources)


def test_backbones_of_cells_are_named_once() -> None:
    info = replace(INFO, further_backbones=["gin:64x3"])
    cell = Cell(info=info, key="k", code="c", device="cpu", timeout=1.0, sources=())
    ecfp4, gin = cell.parts.backbones
    assert backbones_of([cell, cell]) == [ecfp4, gin] and gin[1] == "gin:64x3"


def test_what_was_looked_up_stays_where_it_was() -> None:
    """Another process may have the files of a plug-in elsewhere, and syntax trees are large."""
    cell = Cell(info=INFO, key="k", code="c", device="cpu", timeout=1.0, sources=())
    assert cell.parts.task is find("task", "freesolv", "molecules")
    sent = pickle.loads(pickle.dumps(cell))
    assert sent == cell and "parts" in vars(cell) and "parts" not in vars(sent)
