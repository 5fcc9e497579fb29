"""All or nothing, and never over what is there; names that every file system and the hub take."""

from pathlib import Path

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.export.written import Export, file_name, staged
from sparsebench.reports.records.store import StoreError


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), ValueError("x")])
@pytest.mark.parametrize("folder", [True, False])
def test_what_ends_early_leaves_nothing(tmp_path: Path, error: BaseException, folder: bool) -> None:
    expected = StoreError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), staged(tmp_path / "out") as stage:
        if folder:
            stage.mkdir()
            (stage / "half").write_text("a")
        else:
            stage.write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_refused_and_stays(tmp_path: Path) -> None:
    for name in ("file", "link"):
        place = tmp_path / name
        place.write_text("mine") if name == "file" else place.symlink_to(tmp_path / "nowhere")
        with pytest.raises(StoreError, match="there already"), staged(place):
            raise AssertionError
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_an_export_says_what_it_left_out(tmp_path: Path) -> None:
    with staged(tmp_path / "new" / "out") as stage:
        stage.write_text("all")
    export = Export(tmp_path / "new" / "out")
    assert export.path.read_text() == "all"
    export.files["results"] = 1200
    assert str(export) == f"{export.path}: 1,200 results"
    export.left_out.update({"costs": 3, "seeds": 1})
    export.note = "look"
    assert str(export).splitlines()[1:] == ["look", "left out: 3 costs; 1 seeds"]


@given(st.lists(st.text(), unique=True, max_size=8))
def test_different_texts_have_different_names_that_the_hub_takes(texts: list[str]) -> None:
    names = [file_name(text) for text in texts]
    assert len({name.lower() for name in names}) == len(texts)
    for name in names:
        validate_repo_id(f"owner/{name}")


@pytest.mark.parametrize("text", ["MoE 50 %", "../up", "a/b", "x" * 300, "", "..", "a--b"])
def test_what_had_to_change_ends_in_a_digest(text: str) -> None:
    name = file_name(text)
    assert name != text and "/" not in name and len(name) < 80 and not name.startswith(".")
    assert len(name.rpartition("-")[2]) == 8


def test_what_is_a_name_already_stays() -> None:
    assert file_name("vtab-1.digits-1") == "vtab-1.digits-1"
