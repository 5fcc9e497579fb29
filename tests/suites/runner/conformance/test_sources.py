"""Sources of ours conform; each rule finds a source that breaks it."""

import itertools
import os
from pathlib import Path

import pytest

from sparsebench.data import manifest
from sparsebench.data.errors import LocalFolderError
from sparsebench.data.manifest_entry import Source
from sparsebench.data.sources import register_source
from sparsebench.suites.runner.conformance import sources as check
from sparsebench.suites.runner.conformance.methods import NonconformingError

SUM = "0" * 64
HUB = Source(
    name="of_tests",
    kind="hub",
    version="1",
    licence="MIT",
    citation="the tests",
    repository="nobody/nothing",
    revision="0" * 40,
    files=(manifest.FileEntry(name="a.csv", sha256=SUM, size=1),),
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_registered", {})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits", ("Python package sklearn", "1 files", "needs no network")),
        ("wafers", ("drawn by our own code", "has no files", "needs no network")),
    ],
)
def test_conformance(name: str, said: tuple[str, ...]) -> None:
    for rule, words in zip(check.BATTERY, said, strict=True):
        assert words in rule(name)


def changed(**fields: object) -> str:
    register_source(Source(**{**vars(HUB), **fields}))  # type: ignore[arg-type]
    return HUB.name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"licence": "unknown"}, "licence says nothing"),
        ({"files": HUB.files[:0], "kind": "local", "installed": "numpy"}, "no checksum is pinned"),
        ({"kind": "package", "registry": "pypi", "package": "p"}, "has to pin what is in it"),
        ({"files": (manifest.FileEntry(name="a", sha256=SUM, size=0),)}, "has no size"),
        ({"paths": {"rows": "../rows.csv"}}, "'rows' leads out of the source"),
        ({"licences": {"a part": "MIT"}}, "no number of examples: a part"),
    ],
)
def test_a_manifest_that_says_too_little(fields: dict[str, object], message: str) -> None:
    with pytest.raises(NonconformingError, match=message):
        check.manifest(changed(**fields))


def test_a_folder_of_the_users_that_is_another_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = changed(kind="local", environment="SPARSEBENCH_OF_TESTS", files=(), paths={"rows": "rows.csv"})
    assert check.manifest(name) == "MIT; a folder of yours, SPARSEBENCH_OF_TESTS"
    assert "not read: source 'of_tests' is a folder of yours" in check.reading(name)
    monkeypatch.setenv("SPARSEBENCH_OF_TESTS", str(tmp_path / "nowhere"))
    with pytest.raises(LocalFolderError, match="is no folder"):
        check.reading(name)
    monkeypatch.setenv("SPARSEBENCH_OF_TESTS", str(tmp_path))
    (tmp_path / "rows.csv").write_text("a")
    assert check.reading(name) == "1 files"
    count = itertools.count()
    monkeypatch.setattr(check, "sha256_of", lambda file: str(next(count)))
    with pytest.raises(NonconformingError, match="two readings differ"):
        check.reading(name)


def test_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name, refusing = changed(), check.ensure
    monkeypatch.setattr(check, "folder_of", lambda about: tmp_path)

    def cached(name: str) -> Path:
        """Here until the cache is exchanged for an empty one."""
        return refusing(name) if "SPARSEBENCH_CACHE" in os.environ else tmp_path

    monkeypatch.delenv("SPARSEBENCH_CACHE", raising=False)
    monkeypatch.setattr(check, "ensure", cached)
    assert check.offline(name) == "from the cache alone; refused without it"
    assert "SPARSEBENCH_CACHE" not in os.environ
    monkeypatch.setattr(check, "ensure", lambda name: tmp_path)
    with pytest.raises(NonconformingError, match="it was fetched although SPARSEBENCH_OFFLINE is set"):
        check.offline(name)
