from pathlib import Path

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.atomic_folder import check_free, written


def test_the_folder_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model"
    with written(path) as folder:
        (folder / "a").write_text("1")
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["a"]
    assert [entry.name for entry in path.parent.iterdir()] == ["model"]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written(tmp_path / "model") as folder:
        (folder / "a").write_text("1")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_used_and_anything_else_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with written(tmp_path / "empty") as folder:
        (folder / "a").write_text("1")
    for name in ("empty", "file"):
        (tmp_path / "file").write_text("2")
        with pytest.raises(ModelError, match="not an empty folder"), written(tmp_path / name):
            pytest.fail("nothing may be written")
    assert (tmp_path / "empty" / "a").read_text() == "1" and (tmp_path / "file").read_text() == "2"


def test_what_can_be_written_is_known_before(tmp_path: Path) -> None:
    check_free(tmp_path / "new" / "model")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path / "file" / "model", "no folder that can be written to"),
        (tmp_path, "not an empty"),
    ):
        with pytest.raises(ModelError, match=message):
            check_free(path)
