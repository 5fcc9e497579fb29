"""Sound inputs, made once, and the command line in this process with all that it prints."""

import json
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.records.store import Store

from ...reports import make_records
from ...suites.model_tools.conftest import dense, text
from ...suites.molecules.verbs.conftest import model_folder
from ...suites.runner.fit.conftest import fitted, molecules
from ..conftest import Answer
from ..draws import refusal
from .catalogue import Case, Sound, tree

__all__ = ["dense", "fitted", "model_folder", "molecules", "text"]

LAYOUTS = Path(__file__).parents[2] / "models" / "oracles" / "official_layouts"
PROGRESS = ("opening ", "measuring ", "exporting ", "step ", "  ")
"""How lines begin that say what a command is at."""
PROFILE = {"molecules": {"backbones": ["tiny"], "methods": ["full_tuning"], "tasks": ["synthetic"], "seeds": 1}}


@pytest.fixture(scope="session")
def mixture(dense: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama as a mixture of four experts."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sparsebench.models import save
    from sparsebench.models.moe import MoEConfig, convert

    model: Any = AutoModelForCausalLM.from_pretrained(dense)
    convert(model, MoEConfig(num_experts=4, top_k=2))
    folder = tmp_path_factory.mktemp("mixtures") / "mixture"
    save(model.eval(), folder, tokenizer=AutoTokenizer.from_pretrained(dense))
    return folder


@pytest.fixture(scope="session")
def sound(
    dense: Path,
    mixture: Path,
    text: Path,
    model_folder: Path,
    fitted: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Sound:
    folder = tmp_path_factory.mktemp("sound")
    results = Store(folder / "results").create()
    for label in ("a", "b", "c"):
        results.write(make_records.record(label))
    (folder / "profile.yaml").write_text(json.dumps(PROFILE))
    return Sound(
        dense=dense,
        mixture=mixture,
        text=text,
        graphsgpt=model_folder,
        fitted=fitted,
        layout=LAYOUTS / "llama_moe_v1",
        results=results.folder,
        profile=folder / "profile.yaml",
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where plans are kept, which a refused command may add to."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, cache: Path) -> Callable[..., Answer]:
    """Calls the command line in this process; what C libraries and warnings print is there, too."""
    from sparsebench.suites.runner.cli.app import main

    monkeypatch.setenv("SPARSEBENCH_CACHE", str(cache))
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def call(words: list[str]) -> Answer:
        code = 0
        capfd.readouterr()
        with monkeypatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "argv", ["sparsebench", *words])
            patch.setattr(warnings, "showwarning", _print_warning)
            _as_python_starts()
            for handler in logging.getLogger("transformers").handlers:
                if type(handler) is logging.StreamHandler:  # pytest has handlers of its own
                    patch.setattr(handler, "stream", sys.stderr)
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


def _print_warning(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def _as_python_starts() -> None:
    """What Python shows of warnings outside of tests."""
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


@pytest.fixture
def refused(
    command: Callable[..., Answer], sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Case], None]:
    """Checks a case: exit code 2, one line that names what is wrong, and every folder as before."""
    here, temporary = tmp_path / "here", tmp_path / "temporary"

    def check(case: Case) -> None:
        for folder in (here, temporary):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        monkeypatch.chdir(here)
        case.write(here, sound)
        if case.place is not None:
            monkeypatch.setenv(case.place[0], str(here / case.place[1]))
        before = tree(here)
        answer = command(sound.words(case.line))
        assert answer.code == 2, answer
        line = refusal(answer.err)
        assert line, answer.err
        assert case.says in line, line
        assert tree(here) == before
        assert tree(temporary) == {}
        notes = answer.out.splitlines() + answer.err.splitlines()[:-1]
        assert all(note.endswith((" ...", " its folder")) or note.startswith(PROGRESS) for note in notes), answer

    return check
