"""What identifies the weights that a backbone's argument names."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.data import hub
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity import cell
from sparsebench.suites.runner.identity.cell import cell_key
from sparsebench.suites.runner.identity.weights import fetch_from_hub, weight_files, weights_identity

from ..cells import INFO

HF = find("backbone", "hf", "llm")
TIMM = find("backbone", "timm", "vtab")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "pytorch_model.bin", "tokenizer/vocab.txt", ".git/HEAD"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_every_file_of_a_folder_counts_but_hidden_ones(folder: Path) -> None:
    before = weights_identity(HF, f"hf:{folder}")
    assert set(before) == {"config.json", "pytorch_model.bin", "tokenizer/vocab.txt"}
    for name in before:
        text = (folder / name).read_text()
        (folder / name).write_text("another")
        assert {key for key, value in weights_identity(HF, f"hf:{folder}").items() if value != before[key]} == {name}
        (folder / name).write_text(text)
    (folder / ".git" / "HEAD").write_text("another")
    assert weights_identity(HF, f"hf:{folder}") == before
    (folder / "tokenizer" / "merges.txt").write_text("")
    assert weights_identity(HF, f"hf:{folder}").keys() == before.keys() | {"tokenizer/merges.txt"}


def test_a_file_behind_the_at_sign(folder: Path) -> None:
    file = folder / "config.json"
    assert weight_files(f"timm:vit_tiny_patch16_224@{file}") == {"config.json": file}
    assert weights_identity(TIMM, "timm:vit_tiny_patch16_224") == {}
    assert weights_identity(find("backbone", "gin", "molecules"), "gin:64x3") == {}


def test_the_configuration_beside_a_file_of_weights_counts(folder: Path) -> None:
    """timm's says how images are normalised: other scores, and yet the same cell."""
    named = f"timm:vit_tiny_patch16_224@{folder / 'pytorch_model.bin'}:64"
    before = weights_identity(TIMM, named)
    assert set(before) == {"pytorch_model.bin", "config.json"}
    (folder / "config.json").write_text("another")
    after = weights_identity(TIMM, named)
    assert {name for name in before if after[name] != before[name]} == {"config.json"}
    (folder / "config.json").unlink()
    assert set(weights_identity(TIMM, named)) == {"pytorch_model.bin"}


def test_a_folder_may_hold_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "model@2").mkdir()
    (tmp_path / "model@2" / "config.json").write_text("{}")
    assert weight_files(f"hf:{tmp_path / 'model@2'}").keys() == {"config.json"}


def test_a_hub_name_is_its_commit_here(monkeypatch) -> None:
    commits = {"owner/name": "a" * 40}
    fetched = []
    monkeypatch.setattr(hub, "commit", commits.get)
    monkeypatch.setattr(hub, "folder_here", lambda name: Path(name) if name in commits else None)
    monkeypatch.setattr(hub, "fetch", fetched.append)
    assert weights_identity(HF, "hf:owner/name") == {"commit": "a" * 40}
    assert weights_identity(HF, "hf:owner/other") == {"commit": "unpinned"}
    assert weights_identity(TIMM, "timm:vit_tiny_patch16_224") == {}
    fetch_from_hub([(HF, "hf:owner/name"), (HF, "hf:owner/other"), (TIMM, "timm:vit_tiny_patch16_224")])
    assert fetched == ["owner/other"]


def test_other_weights_are_another_cell(folder: Path) -> None:
    info = replace(INFO, backbone=f"hf:{folder}")
    before = cell_key(info, parts_of(info), ())
    (folder / "tokenizer" / "vocab.txt").write_text("another")
    cell.forget_weights()
    assert cell_key(info, parts_of(info), ()) != before


def test_other_weights_of_a_teacher_are_another_cell(folder: Path) -> None:
    info = replace(INFO, further_backbones=[f"hf:{folder}"])
    before = cell_key(info, parts_of(info), ())
    (folder / "tokenizer" / "vocab.txt").write_text("another")
    cell.forget_weights()
    assert cell_key(info, parts_of(info), ()) != before
    assert cell_key(INFO, parts_of(INFO), ()) == cell_key(replace(info, further_backbones=[]), parts_of(INFO), ())


@pytest.mark.parametrize("argument", ["{here}/smol", "./no/such", "~/no-such-folder", "a/b/c"])
def test_a_folder_that_there_is_not_is_refused_when_the_run_is_planned(tmp_path: Path, argument: str) -> None:
    (tmp_path / "small").mkdir()
    entry = find("backbone", "hf", "llm")
    with pytest.raises(UsageError, match="does not exist") as refused:
        weights_identity(entry, f"hf:{argument.format(here=tmp_path)}")
    assert (f"did you mean {tmp_path / 'small'}?" in str(refused.value)) == argument.startswith("{here}")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty"):
        weights_identity(find("backbone", "hf", "llm"), f"hf:{tmp_path}")


def test_a_size_may_stand_behind_the_file(folder: Path) -> None:
    (folder / "config.json").unlink()
    file = folder / "w.bin"
    file.write_text("a file")
    assert weight_files(f"timm:vit_tiny_patch16_224@{file}:64") == {"w.bin": file}
    (folder / "w.bin:64").write_text("another file")
    assert weight_files(f"timm:vit_tiny_patch16_224@{file}:64") == {"w.bin:64": folder / "w.bin:64"}
