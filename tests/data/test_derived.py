"""Derived folders are made once for each form, verified, and made again when their code or sources change."""

from pathlib import Path

import pytest

from sparsebench.data.derived import derive, made_from
from sparsebench.data.errors import ChecksumError


def test_a_folder_is_made_once_for_each_form(demo, cache: Path) -> None:
    demo()
    made = []

    def fill(partial: Path) -> None:
        made.append(partial)
        (partial / "a.txt").write_text("content")

    folder = derive("demo", "one", fill)
    assert derive("demo", "one", fill) == folder and len(made) == 1
    assert folder.parent == cache / "derived" and folder.name.endswith("-one")
    assert derive("demo", "two", fill) != folder and len(made) == 2
    (folder / "a.txt").write_text("changed")
    with pytest.raises(ChecksumError, match=r"a\.txt.*sparsebench prepare --source demo"):
        derive("demo", "one", fill)


def test_a_form_depends_on_code_and_sources(demo, tmp_path: Path) -> None:
    demo()
    code = tmp_path / "a.py"
    code.write_text("one")
    before = made_from([code], ["demo"])
    assert len(before) == 8 and before == made_from([code], ["demo"])
    demo(sha256="0" * 64)
    assert made_from([code], ["demo"]) != before
    demo()
    code.write_text("two")
    assert made_from([code], ["demo"]) != before
