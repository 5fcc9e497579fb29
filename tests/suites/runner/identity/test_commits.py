"""Which commits a repository does not have; nothing is said where nobody can know."""

import subprocess
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Record
from sparsebench.suites.runner.identity import commits
from sparsebench.suites.runner.identity.commits import unknown_commits

from ..cells import record

ABSENT = "3aedd5c3" * 5


def git(folder: Path, *arguments: str) -> str:
    told = ("-c", "user.name=a", "-c", "user.email=a@example.org", *arguments)
    return subprocess.run(["git", "-C", str(folder), *told], capture_output=True, text=True, check=True).stdout.strip()


def records(*names: str | None) -> list[Record]:
    return [record(environment={"commit": name}) for name in names]


def test_what_is_no_name_of_a_commit_is_none() -> None:
    found = [record(environment={"commit": name}).commit for name in (None, "", ["a"], {"b": 1})]
    assert found == [None] * 4


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits, in the place of ours."""
    folder = tmp_path / "home"
    folder.mkdir()
    git(folder, "init", "-q")
    for name in ("one", "two"):
        git(folder, "commit", "-q", "--allow-empty", "-m", name)
    monkeypatch.setattr(commits, "HOME", folder)
    return folder


def test_those_that_are_not_there(home: Path) -> None:
    here = git(home, "rev-parse", "HEAD")
    assert unknown_commits(records(here, ABSENT, None, ABSENT)) == {ABSENT}
    assert unknown_commits(records(here)) == unknown_commits(records(None)) == set()


def test_nothing_is_said_where_nobody_can_know(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("elsewhere", "shallow"):
        (tmp_path / place).mkdir()
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{home}", "shallow")
    for place in ("elsewhere", "shallow"):
        monkeypatch.setattr(commits, "HOME", tmp_path / place)
        assert unknown_commits(records(ABSENT)) == set()
