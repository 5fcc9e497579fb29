"""Programming problems from both of the package's forms of files."""

import gzip
import json
from pathlib import Path

import pytest

from sparsebench.data.text.instructions import codeio
from sparsebench.data.text.instructions.codeio import REQUEST, exchange_of, read_set

ROW = {"task_description": "Add. ", "input_output_spec": "Input: two", "code_sample": "def main_solution(): ...\n"}


def test_a_problem():
    found = exchange_of(ROW, "code", "codeio")
    assert not isinstance(found, str)
    assert found.messages == (("user", f"Add.\n\nInput: two\n\n{REQUEST}"),)
    assert found.answer == "def main_solution(): ..."
    assert exchange_of({**ROW, "code_sample": " "}, "code", "codeio") == "no problem with a program"
    assert exchange_of({"code_sample": "x"}, "code", "codeio") == "no problem with a program"


@pytest.mark.parametrize("form", ["lines", "list"])
def test_both_forms(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = json.dumps([ROW, ROW], indent=1) if form == "list" else "\n".join([json.dumps(ROW)] * 2)
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(codeio, "path", lambda source, key: tmp_path / "a.gz")
    assert list(read_set("code", "codeio")) == [exchange_of(ROW, "code", "codeio")] * 2


@pytest.mark.data
@pytest.mark.parametrize(("name", "count"), [("codeio", 3002), ("codeio-hq", 2750)])
def test_real_files(name: str, count: int):
    found = list(read_set("code", name))
    assert len(found) == count
    assert all(not isinstance(one, str) and "def main_solution" in one.answer for one in found)
