"""Sources of other packages: found without importing them, used like ours, named where they cannot be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsebench.data import manifest
from sparsebench.data.errors import DataError, ManifestError
from sparsebench.data.identity import identity, is_unpinned
from sparsebench.data.manifest import manifest_files
from sparsebench.data.sources import Source, catalogue, path, register_source, source, source_problems

from ..packages import Install, installed

ASSAY = """
name = "my_assay"
kind = "local"
environment = "MY_ASSAY"
version = "1"
licence = "mine"
citation = "my own measurements"

[paths]
table = "table.csv"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    monkeypatch.setattr(manifest, "_registered", {})
    with installed(tmp_path, monkeypatch) as function:
        yield function


def test_a_source_of_a_package(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install({"my_assay.toml": ASSAY, "__init__.py": "raise RuntimeError"}, {"sources:my_assay": "x"})
    # An entry point names the package, whose folder holds the file.
    points = tmp_path / "mine-1.dist-info" / "entry_points.txt"
    points.write_text("[sparsebench.sources]\nmy_assay = package_of_tests\n")
    assert manifest_files()["my_assay"] == tmp_path / "package_of_tests" / "my_assay.toml"
    assert catalogue()["my_assay"].citation == "my own measurements" and source_problems() == []
    with pytest.raises(DataError, match="a folder of yours: set MY_ASSAY to it"):
        path("my_assay", "table")
    data = tmp_path / "assay"
    data.mkdir()
    monkeypatch.setenv("MY_ASSAY", str(data))
    (data / "table.csv").write_text("a\n1\n")
    before = identity("my_assay")
    assert path("my_assay", "table").read_text() == "a\n1\n" and is_unpinned("my_assay")
    (data / "table.csv").write_text("a\n2\n")
    assert identity("my_assay") != before, "a changed file is another source"
    assert not [name for name in sys.modules if name.startswith("package_of_tests")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("my_assay", ASSAY.replace("my_assay", "other"), "name is 'other', but the file name says 'my_assay'"),
        ("my_assay", ASSAY.replace('kind = "local"', 'kind = "locl"'), "unknown kind 'locl'; did you mean local"),
        ("my_assay", None, "there is no file .*: reinstall that package"),
        ("digits", ASSAY, "the name 'digits' is built in"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_is_there(
    name: str, text: str | None, message: str, install: Install, tmp_path: Path
) -> None:
    install({f"{name}.toml": text} if text else {}, {})
    points = tmp_path / "mine-1.dist-info" / "entry_points.txt"
    points.write_text(f"[sparsebench.sources]\n{name} = package_of_tests\ngone = no_such_package_at_all\n")
    first, second = sorted(source_problems(), key=lambda line: "gone" in line)
    assert "no_such_package_at_all" in second
    with pytest.raises(ManifestError, match=message):
        raise ManifestError(first)
    assert catalogue()["digits"].installed == "sklearn"


def test_registered_in_this_process(install: Install) -> None:
    mine = Source(name="mine", kind="local", version="1", licence="x", citation="y", environment="MINE")
    register_source(mine)
    register_source(mine)
    assert source("mine") is mine
    for entry, message in (
        (Source(**{**vars(mine), "version": "2"}), "there is a source 'mine' already"),
        (Source(**{**vars(mine), "name": "digits"}), "there is a source 'digits' already"),
        (Source(**{**vars(mine), "name": "two", "environment": ""}), "needs one of the keys"),
        (Source(**{**vars(mine), "name": "two", "kind": "procedural", "parameters": {"a": 1}}), "is for what this"),
    ):
        with pytest.raises(ManifestError, match=message):
            register_source(entry)
