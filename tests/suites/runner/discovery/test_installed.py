"""What is not installed is a line that says how to install it, before anything is imported."""

import importlib.util
import sys
from pathlib import Path

import pytest

from sparsebench.suites.runner.cli.selection import Request, select
from sparsebench.suites.runner.discovery import installed
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.explanation import explain
from sparsebench.suites.runner.show.listing import list_document, list_text

NO_TIMM = "vtab is not installed (timm): pip install 'sparsebench[vision]'"
NO_WEIGHTS = "llm: the weights of our own small models are not installed: pip install 'sparsebench[weights]'"


@pytest.fixture
def without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    find = importlib.util.find_spec
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "timm" else find(name))


@pytest.mark.usefixtures("without_timm")
def test_a_suite_without_its_libraries_is_left_out() -> None:
    selection = select(Request(profile="smoke"))
    assert [plan.suite for plan in selection.profile.plans] == ["llm", "molecules"]
    assert selection.notes == (NO_TIMM,)
    with pytest.raises(UsageError) as error:
        select(Request(profile="smoke", suites=("vtab",)))
    assert str(error.value) == NO_TIMM
    assert list_text(list_document(["vtab"], ["profiles"])).splitlines()[-1] == NO_TIMM


def test_weights_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed.problems() == []
    monkeypatch.setattr(installed, "ROOT", tmp_path)
    assert select(Request(profile="smoke", suites=("llm",))).notes == (NO_WEIGHTS,)
    with pytest.raises(FileNotFoundError) as error:
        (tmp_path / "llm" / "weights" / "small_llama.safetensors").read_bytes()
    assert explain(error.value) == ("failed", NO_WEIGHTS)
    with pytest.raises(FileNotFoundError) as error:
        (tmp_path / "llm" / "tasks").read_bytes()
    assert explain(error.value)[1].startswith("FileNotFoundError: ")
    (tmp_path / "llm" / "weights").mkdir(parents=True)
    assert [line.partition(":")[0] for line in installed.problems()] == ["molecules", "vtab"]
