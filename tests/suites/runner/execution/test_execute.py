"""A cell that runs code outside of its code hash fails, and what surrounds a score is no part of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from timm.models.vision_transformer import VisionTransformer

from sparsebench.models.anatomy import register_describer, registry
from sparsebench.models.describers import timm_vit
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution import execute as execution
from sparsebench.suites.runner.execution.execute import CHECKPOINTS, execute
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.training.checkpoint import Checkpoints

from ..cells import planned_cells


def cell_of(method: str) -> Cell:
    (found,) = planned_cells("vtab", method, test_examples=16)
    return found


@pytest.fixture(scope="module")
def cell() -> Cell:
    return cell_of("linear_probe")


def run(cell: Cell, folder: Path):
    ended = execute(cell, Store(folder).create().folder)
    return Store(folder).read(ended.id)


def test_a_describer_of_the_backbones_family_is_covered(cell: Cell, tmp_path: Path) -> None:
    record = run(cell, tmp_path)
    assert record.status == "ok", record.reason


def test_the_record_says_how_many_seeds_were_planned(cell: Cell, tmp_path: Path) -> None:
    record = run(replace(cell, planned_seeds=3, stochastic=True), tmp_path)
    assert (record.seeds["planned"], record.seeds["stochastic"]) == (3, 1)
    assert record.id == cell.id


def test_a_describer_from_elsewhere_fails_the_cell(cell: Cell, tmp_path: Path, monkeypatch) -> None:
    def describe_mine(model):
        return timm_vit.describe(model)

    monkeypatch.setattr(registry, "_registered", list(registry._registered))
    register_describer(VisionTransformer, describe_mine)
    record = run(cell, tmp_path)
    assert record.status == "failed"
    assert __name__ in str(record.reason) and "name it in DESCRIBERS in tiny.py" in str(record.reason)


def test_a_router_from_elsewhere_fails_the_cell(cell: Cell, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(execution, "used_modules", lambda: frozenset({"elsewhere.router"}))
    record = run(cell, tmp_path)
    assert record.status == "failed"
    assert "elsewhere.router was used, which the hash of this cell's code does not cover" in str(record.reason)


def test_the_cell_says_on_which_device(cell: Cell, tmp_path: Path) -> None:
    record = run(replace(cell, device="nowhere"), tmp_path)
    assert record.status == "failed" and "nowhere" in str(record.reason)


def test_checkpoints_change_no_result_and_are_gone_with_the_record(tmp_path: Path, monkeypatch) -> None:
    plain = cell_of("full_tuning")
    kept = []
    save = Checkpoints.save

    def save_and_note(self: Checkpoints, *arguments: Any, **options: Any) -> None:
        save(self, *arguments, **options)
        kept.append(self.folder)

    monkeypatch.setattr(Checkpoints, "save", save_and_note)
    first = run(plain, tmp_path / "without")
    assert first.status == "ok" and not kept
    second = run(replace(plain, checkpoints=True), tmp_path / "with")
    place = tmp_path / "with" / CHECKPOINTS / plain.id
    assert kept and all(place in folder.parents for folder in kept)
    assert (second.metrics, second.curves) == (first.metrics, first.curves)
    assert not place.exists()
