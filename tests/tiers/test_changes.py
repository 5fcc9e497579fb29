import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .changes import DAY, base, changed_since, commit

NOW = 1_800_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    return tmp_path


@pytest.fixture
def committed(repository: Path) -> Callable[[str, int], str]:
    """`committed(name, seconds)`: a commit of a new file, so many seconds from a fixed time; its hash."""

    def make(name: str, seconds: int) -> str:
        (repository / name).write_text(name)
        date = f"{NOW + seconds} +0000"
        who = {f"GIT_{role}_{what}": "x@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        run = {"cwd": repository, "check": True, "env": {**os.environ, **who, "GIT_COMMITTER_DATE": date}}
        subprocess.run(["git", "add", "-A"], **run)
        subprocess.run(["git", "commit", "-q", "-m", name], **run)
        return commit(repository)

    return make


def git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True)


def test_on_main_a_day_counts(repository: Path, committed: Callable[[str, int], str]) -> None:
    committed("a", -3 * DAY)
    before = committed("b", -DAY - 1)
    committed("c", -DAY + 60)
    committed("d", 0)
    assert base(repository) == before
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")  # as in a fresh clone
    assert base(repository) == before
    assert changed_since(repository, before) == ["c", "d"]


def test_nothing_from_before_the_newest_tag_counts(repository: Path, committed: Callable[[str, int], str]) -> None:
    committed("a", -2 * DAY)
    tagged = committed("b", -60)
    git(repository, "tag", "v1")
    committed("c", 0)
    assert base(repository) == tagged


def test_a_tag_of_the_newest_commit_itself_hides_nothing(
    repository: Path, committed: Callable[[str, int], str]
) -> None:
    before = committed("a", -2 * DAY)
    committed("b", 0)
    git(repository, "tag", "v1")
    assert base(repository) == before


def test_a_branch_counts_from_where_it_left(repository: Path, committed: Callable[[str, int], str]) -> None:
    committed("a", -9 * DAY)
    fork = committed("b", -8 * DAY)
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    committed("c", -7 * DAY)
    committed("d", 0)
    assert base(repository) == fork


def test_edited_staged_and_unknown_files_are_changes(repository: Path, committed: Callable[[str, int], str]) -> None:
    head = [committed(name, 0) for name in ("a", "b", "c")][-1]
    (repository / "a").write_text("edited")
    (repository / "b").unlink()
    (repository / "staged").write_text("")
    git(repository, "add", "staged")
    (repository / "unknown").write_text("")
    assert changed_since(repository, head) == ["a", "b", "staged", "unknown"]


def test_without_a_base_every_file_counts(repository: Path, committed: Callable[[str, int], str]) -> None:
    (repository / "models").mkdir()
    committed("models/a.py", 0)
    assert base(repository) is None
    assert changed_since(repository, None) == ["models/a.py"]


def test_without_git_the_files_give_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.py").write_text("a")
    first = commit(tmp_path)
    assert base(tmp_path) is None
    assert int(first[:8], 16) >= 0
    (tmp_path / "models/a.py").write_text("b")
    assert commit(tmp_path) != first
