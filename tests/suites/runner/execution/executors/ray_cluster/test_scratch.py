"""A folder that only its user can touch, in a place that all users share. Other users are played by another answer of
`os.geteuid`, so that the tests say the same for root and for anybody else."""

import fcntl
import os
from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import ExecutorError
from sparsebench.suites.runner.execution.executors.ray_cluster.scratch import OWNER, PREFIX, Scratch, own_folder


def home(parent: Path) -> Path:
    return parent / f"{PREFIX}{os.geteuid()}"


def test_it_is_closed_to_others_and_gone_afterwards(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    assert scratch.folder.parent == home(tmp_path)
    assert home(tmp_path).stat().st_mode & 0o777 == 0o700
    scratch.remove()
    assert list(home(tmp_path).iterdir()) == []


def test_folders_of_dead_processes_are_removed_and_others_are_not(tmp_path: Path) -> None:
    own = own_folder(tmp_path)
    for name in ("dead", "held", "young"):
        (own / name).mkdir()
        (own / name / OWNER).touch()
    for name in ("dead", "held"):
        os.utime(own / name, (0, 0))
    with (own / "held" / OWNER).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mine = Scratch(tmp_path)
    assert {path.name for path in own.iterdir()} == {mine.folder.name, "held", "young"}


def test_no_link_is_followed_and_nothing_is_emptied(tmp_path: Path) -> None:
    """Neither next to the user's folder, where others can put things, nor in it."""
    treasure = tmp_path / "treasure"
    treasure.write_text("50 bytes")
    own = own_folder(tmp_path)
    for trap in (tmp_path / f"{PREFIX}e", own / "old"):
        trap.mkdir()
        (trap / OWNER).symlink_to(treasure)
        os.utime(trap, (0, 0))
    (tmp_path / f"{PREFIX}x").symlink_to("/nonexistent")
    (own / "dangling").symlink_to("/nonexistent")
    Scratch(tmp_path).remove()
    assert treasure.read_text() == "50 bytes"
    assert (tmp_path / f"{PREFIX}e").is_dir()


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    home(tmp_path).symlink_to(elsewhere)
    with pytest.raises(ExecutorError, match="is no folder: remove it, or set TMPDIR to a folder of your own"):
        Scratch(tmp_path)
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_others_can_use_is_refused(tmp_path: Path) -> None:
    home(tmp_path).mkdir()
    home(tmp_path).chmod(0o711)
    with pytest.raises(ExecutorError, match="has mode 711, so that others can use it"):
        Scratch(tmp_path)


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    home(tmp_path).mkdir(mode=0o700)
    with pytest.raises(ExecutorError, match=f"belongs to user {os.getuid()}, and this is user 12345"):
        Scratch(tmp_path)
