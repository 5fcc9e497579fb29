"""A disk that is full: one line, nothing half written, and the same command afterwards does its work.

The system itself refuses to write: no file may grow beyond a limit, whoever writes it (Python, safetensors, Arrow,
SQLite). `tests/faults/test_folders.py` fills a real file system, for `run`.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from sparsebench.suites.runner.fit import rows, saved

from ...suites.model_tools.conftest import short_rounds
from ...suites.runner.fit.test_fitting import PROFILE
from ..draws import refusal
from .catalogue import Make, Sound, copied, put, tree

__all__ = ["short_rounds"]
SMALL = "{text} --documents 3"
MINE: Make = lambda here, _: put(here / "mine.csv", "id,SMILES\n1,CCO\n2,CC\n")  # noqa: E731
RESULTS = copied("results")
COMMANDS: dict[str, tuple[str, Make | None]] = {
    "predict": ("predict {fitted} mine.csv", MINE),
    "predict into Parquet": ("predict {fitted} mine.csv -o new.parquet", MINE),
    "encode": ("molecules encode mine.csv words.parquet --model {graphsgpt}", MINE),
    "generate": ("molecules generate 3 new.csv --model {graphsgpt}", None),
    "score": ("molecules score mine.csv --model {graphsgpt}", MINE),
    "import": ("import {layout} out", None),
    "convert": (f"convert {{dense}} out --experts 4 --windows 2 --calibration {SMALL}", None),
    "compress": (f"compress {{mixture}} out --keep-experts 0.5 --windows 2 --calibration {SMALL}", None),
    "export": (f"export {{mixture}} out --held-out {SMALL}", None),
    "report": ("report results", RESULTS),
    "export-results, Parquet": ("export-results results out --to parquet", RESULTS),
    "export-results, hub": ("export-results results out --to hub", RESULTS),
    "export-results, Every Eval Ever": ("export-results results out --to every-eval-ever", RESULTS),
    "freeze": ("freeze results", RESULTS),
    "new": ("new router mine", None),
}
PARTS = 3
"""How far a file may grow: not at all, to some part of the largest one, and to a byte less than it."""


@contextmanager
def limit(largest: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def written(after: dict[str, bytes | None], before: dict[str, bytes | None]) -> int:
    """The size of the largest file that is new."""
    return max(len(content) for name, content in after.items() if content is not None and name not in before)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("short_rounds")
def test_a_full_disk(
    name: str, call_here: Callable, sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, make = COMMANDS[name]
    folders = tmp_path / "whole", tmp_path / "full"
    for folder in folders:
        folder.mkdir()
        if make is not None:
            make(folder, sound)
    before = tree(folders[0])
    monkeypatch.chdir(folders[0])
    done = call_here(*sound.words(line))
    assert done.code == 0, done.err
    whole = tree(folders[0])
    largest = written(whole, before)
    monkeypatch.chdir(folders[1])
    for most in (0, largest // 2, largest - 1):
        with limit(most):
            answer = call_here(*sound.words(line))
        assert answer.code == 2, (most, answer)
        assert "too large" in refusal(answer.err).lower(), (most, answer.err)
        left = {name for name in tree(folders[1]) if ".parts" not in name}
        assert left == before.keys(), most
    assert call_here(*sound.words(line)).code == 0
    assert tree(folders[1]).keys() == whole.keys()


def test_a_full_disk_while_fit_saves(
    call_here: Callable, molecules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was computed stays for the next call, which goes on."""
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(PROFILE))
    monkeypatch.setattr(rows, "PROFILE", str(tmp_path / "few.yaml"))
    line = ("fit", str(molecules), "out", "--workers", "1")
    with limit(1000):
        answer = call_here(*line)
    assert answer.code == 2 and refusal(answer.err) and not (tmp_path / "out").exists(), answer
    save = saved.save_file

    def save_on_a_full_disk(*arguments: object) -> None:
        with limit(1000):
            save(*arguments)

    monkeypatch.setattr(saved, "save_file", save_on_a_full_disk)
    answer = call_here(*line)
    assert answer.code == 2 and "too large" in refusal(answer.err).lower(), answer
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(saved, "save_file", save)
    answer = call_here(*line)
    assert answer.code == 0 and "2 cells, 0 to run" in answer.out, answer
