"""A folder of the user's is another source when its content is another."""

from pathlib import Path

import pytest

from sparsebench.data.identity import BY_CONTENT, BY_LISTS, identity
from sparsebench.data.manifest import catalogue, fingerprint, source


def test_of_all_others_it_is_the_fingerprint(subtests: pytest.Subtests) -> None:
    for name in sorted(catalogue().keys() - {*BY_CONTENT, *BY_LISTS}):
        with subtests.test(name=name):
            assert identity(name) == fingerprint(name)


@pytest.mark.parametrize("name", BY_CONTENT)
def test_of_a_folder_it_is_the_content(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = source(name)
    assert entry.kind == "local" and entry.environment and not entry.pinned
    monkeypatch.delenv(entry.environment, raising=False)
    assert identity(name) == fingerprint(name)
    monkeypatch.setenv(entry.environment, str(tmp_path / "none"))
    assert identity(name) == fingerprint(name)
    monkeypatch.setenv(entry.environment, str(tmp_path))
    found = [identity(name)]
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "a.txt").write_text("one")
    found.append(identity(name))
    (tmp_path / "news" / "a.txt").write_text("two")
    found.append(identity(name))
    (tmp_path / "news" / "a.txt").rename(tmp_path / "news" / "b.txt")
    found.append(identity(name))
    assert len({fingerprint(name), *found}) == 5
    (tmp_path / "news" / ".hidden").write_text("x")
    assert identity(name) == found[-1]
    (tmp_path / "news" / "b.txt").write_text("one")
    (tmp_path / "news" / "b.txt").rename(tmp_path / "news" / "a.txt")
    assert identity(name) == found[1], "the same content has the same identity, whenever it was written"


def test_of_a_zip_file_it_is_the_content_where_the_source_may_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, may_be_one in (("cifar10", True), ("own-images", False)):
        found = {fingerprint(name)}
        for text in ("one", "two"):
            file = tmp_path / f"{text}.zip"
            file.write_text(text)
            monkeypatch.setenv(source(name).environment, str(file))
            found.add(identity(name))
        assert len(found) == (3 if may_be_one else 1)


@pytest.mark.parametrize("name", BY_LISTS)
def test_of_a_large_folder_it_is_the_lists(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = source(name)
    monkeypatch.delenv(entry.environment, raising=False)
    assert identity(name) == fingerprint(name)
    monkeypatch.setenv(entry.environment, str(tmp_path))
    (tmp_path / "svhn" / "images").mkdir(parents=True)
    found = [identity(name)]
    for file in ("test.txt", "SHA256SUMS"):
        for text in ("one", "two"):
            (tmp_path / "svhn" / file).write_text(text)
            found.append(identity(name))
    assert len(set(found)) == 5
    (tmp_path / "svhn" / "images" / "a.jpg").write_text("an image")
    (tmp_path / ".svhn.partial").mkdir()
    (tmp_path / ".svhn.partial" / "test.txt").write_text("being built")
    assert identity(name) == found[-1]
