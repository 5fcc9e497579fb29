"""Discovery by file and entry point, the hash of the code, profiles and plans."""

import ast

import pytest

from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.task import Task
from sparsebench.suites.runner.discovery.loading import load_class, load_method, load_task
from sparsebench.suites.runner.discovery.registry import entries, find, suites
from sparsebench.suites.runner.discovery.table import read_table
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.results.summary import suite_infos

SUITES = sorted(suites())


def test_the_three_suites() -> None:
    assert SUITES == ["llm", "molecules", "vtab"]


@pytest.mark.parametrize("suite", SUITES)
def test_every_task_and_backbone_can_be_read_without_importing_it(suite: str) -> None:
    for kind in ("task", "backbone"):
        for entry in entries(kind, suite).values():
            assert entry.caption, entry.path
            assert len(entry.caption) <= 120, entry.path
            assert isinstance(entry.sources, tuple)


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_read_is_what_the_class_says(suite: str) -> None:
    for entry in entries("task", suite).values():
        task = load_task(entry)
        assert task.sources == entry.sources
        assert task.version == entry.constant("version", None) or entry.constant("version", None) is None


def test_every_method_is_one_class_with_a_caption() -> None:
    assert len(entries("method")) >= 8
    for entry in entries("method").values():
        assert entry.caption, entry.path
        assert issubclass(load_class(entry, Method), Method)


@pytest.mark.parametrize("suite", SUITES)
def test_task_files_are_short(suite: str) -> None:
    for entry in entries("task", suite).values():
        if entry.name != "synthetic":
            lines = len(entry.path.read_text().splitlines())
            assert lines - len(read_table(ast.parse(entry.path.read_text()), entry.path)) <= 65, entry.path


def test_the_report_knows_the_baseline_of_every_group() -> None:
    infos = suite_infos()
    assert {name: info.group_baselines for name, info in infos.items() if info.group_baselines} == {
        "llm": {
            "text": "linear_probe",
            "own conversations": "constant (not trained)",
            "trained multiple choice": "dense",
            "continual pre-training": "dense trained",
            "deployment": "not compressed",
        },
        "molecules": {
            **dict.fromkeys(
                ("generation", "reconstruction", "property control", "scaffolds", "generation smoke test"), "dense"
            ),
            **dict.fromkeys(("trained generation", "own generation"), "dense trained"),
        },
    }
    groups = {load_task(entry).group for entry in entries("task", "llm").values()}
    assert infos["llm"].group_baselines.keys() <= groups


def test_unknown_names_are_explained() -> None:
    with pytest.raises(UsageError, match="did you mean"):
        find("method", "full_tunning")
    with pytest.raises(UsageError, match="must define one Method, not 0"):
        load_class(find("backbone", "tiny", "molecules"), Method)
    with pytest.raises(UsageError, match="must define one Task, not 0"):
        load_class(find("method", "full_tuning"), Task)
    with pytest.raises(UsageError, match="unknown key 'rnk'"):
        load_method(find("method", "lora"), {"rnk": 4})
