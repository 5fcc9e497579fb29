"""GLUE of the user's: official parts, and every row of the table as its files say."""

from pathlib import Path

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own.glue import FORMS
from sparsebench.suites.llm.encoders.task import TextTask
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries

TASKS = {name: entry for name, entry in entries("task", "llm").items() if name.startswith("glue_")}


def rte(name: str) -> TextTask:
    task = load_task(TASKS[name])
    assert isinstance(task, TextTask)
    return task


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSEBENCH_GLUE", str(tmp_path))
    (tmp_path / "RTE").mkdir()
    for part, count in (("train", 300), ("dev", 40)):
        rows = [f"{i}\tText {i}.\t{part} {i % 290}.\t{('', 'not_')[i % 2]}entailment" for i in range(count)]
        rows.append("0\tBoth.\tIn both parts.\tentailment")
        lines = ["index\tsentence1\tsentence2\tlabel", *rows]
        (tmp_path / "RTE" / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_every_task_has_the_target_of_its_files() -> None:
    assert {task.name.removeprefix("glue_") for task in TASKS.values()} == set(FORMS)
    for name in TASKS:
        form = FORMS[name.removeprefix("glue_")]  # type: ignore[index]
        target = rte(name).target
        assert target.outputs == len(form.classes or [0])
        assert target.kind == ("regression" if form.classes is None else "classification")


def test_the_development_part_is_the_test_part(folder: Path) -> None:
    parts = rte("glue_rte").parts()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (50, 250, 41)
    assert all(str(second).startswith(("dev", "In")) for _, second in parts.test.texts)
    assert ("Both.", "In both parts.") not in {*parts.train.texts, *parts.val.texts}


def test_a_broken_folder_is_refused_before_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task(TASKS["glue_mrpc"])
    with pytest.raises(TableError, match=r"MRPC/train\.tsv"):
        task.check_data()  # type: ignore[attr-defined]
    monkeypatch.delenv("SPARSEBENCH_GLUE")
    task.check_data()  # type: ignore[attr-defined]
