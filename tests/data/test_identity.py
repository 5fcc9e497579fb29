"""A folder of the user's is another source when its content is another."""

from pathlib import Path

import pytest

from sparsebench.data.identity import BY_CONTENT, identity
from sparsebench.data.manifest import catalogue, fingerprint, source


@pytest.mark.parametrize("name", sorted(catalogue().keys() - set(BY_CONTENT)))
def test_of_all_others_it_is_the_fingerprint(name: str) -> None:
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
