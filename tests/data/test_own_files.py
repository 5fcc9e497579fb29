"""Files of the user's own as sources: where they lie, and what identifies them."""

from pathlib import Path

import pytest

from sparsebench.data import sources
from sparsebench.data.cache.ledger import FileRead, reading
from sparsebench.data.errors import LocalFolderError, UnknownSource
from sparsebench.data.identity import identity, is_unpinned
from sparsebench.data.own_files import is_own_file, own_place


def test_the_place_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATA", str(tmp_path))
    assert own_place("file:$MY_DATA/a.csv") == tmp_path / "a.csv"
    assert own_place("file:~/a.csv") == Path.home() / "a.csv"
    for name in ("file:a.csv", "file:$NOT_SET_HERE/a.csv", "file:"):
        with pytest.raises(UnknownSource, match="give the whole place"):
            sources.source(name)


def test_the_identity_is_that_of_the_content(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    name = f"file:{file}"
    assert is_own_file(name) and is_unpinned(name) and not is_own_file("own-text")
    found = [identity(name)]
    for text in ("one", "two"):
        file.write_text(text)
        found.append(identity(name))
    assert len(set(found)) == 3
    file.write_text("one")
    assert identity(name) == found[1]
    folder = f"file:{tmp_path}"
    before = identity(folder)
    file.rename(tmp_path / "b.csv")
    assert identity(folder) not in (before, found[1])


def test_it_is_handed_out_and_noted(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    name = f"file:{file}"
    with pytest.raises(LocalFolderError, match=r"there is no .*a\.csv; put it there"):
        sources.ensure(name)
    file.write_text("one")
    with reading() as reads:
        assert sources.ensure(name) == file
    assert reads.files() == (FileRead(name, "a.csv", 3, identity(name)),)
    assert sources.ensure(f"file:{tmp_path}") == tmp_path
    assert sources.prepare([name]) == [(name, file)]
