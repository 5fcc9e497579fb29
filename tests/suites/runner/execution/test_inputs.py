"""What a cell read is named in its record, and is what its plan hashed."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.data import hub, sources
from sparsebench.data.cache.ledger import FileRead, note
from sparsebench.data.errors import ChecksumError
from sparsebench.reports.records.record import FileInfo, from_json, to_json
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.execution import assembly, execute, inputs
from sparsebench.suites.runner.execution.inputs import MOST_FILES, data_read, verify_weights
from sparsebench.suites.runner.identity.cell import Cell, planned_weights

from ..cells import INFO

DIGITS = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def cell(*names: str, **fields) -> Cell:
    return Cell(info=INFO, key="key", code="code", device="cpu", timeout=1.0, sources=names, **fields)


def run(one: Cell, monkeypatch: pytest.MonkeyPatch, body: Callable[[], None]):
    """The record of a cell whose score does `body`; kernels that earlier tests of this process used are not its own."""
    inputs._kernels()

    def score(*arguments, **options):
        body()
        raise ValueError("no score")

    monkeypatch.setattr(assembly, "score", score)
    return execute.run_cell(one, None).record


def test_the_record_names_what_was_read_and_what_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit R1: the record gave the checksum that the manifest pins, whatever was read."""
    record = run(cell("digits", "sotu"), monkeypatch, lambda: sources.path("digits", "table") and None)
    digits, sotu = record.data
    assert digits.files == [FileInfo(path="datasets/data/digits.csv.gz", size=57523, sha256=DIGITS)]
    assert (sotu.source, sotu.files) == ("sotu", [])
    assert from_json(to_json(record)) == record


def test_an_older_record_without_files_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    record = run(cell("sotu"), monkeypatch, lambda: None)
    text = to_json(record).replace('   "files": [],\n', "")
    assert '"files"' not in text
    assert from_json(text) == record


def test_each_record_names_its_own_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    run(cell("digits"), monkeypatch, lambda: sources.path("digits", "table") and None)
    record = run(cell("digits"), monkeypatch, lambda: None)
    assert [one.files for one in record.data] == [[]]


def test_derived_folders_are_sources_of_their_own() -> None:
    found = data_read(cell("smollm2"), [FileRead("derived/smollm2", "model.safetensors", 5, "ab")])
    assert [(one.source, one.licence) for one in found] == [
        ("smollm2", "Apache-2.0"),
        ("derived/smollm2", "Apache-2.0"),
    ]
    assert found[1].files == [FileInfo(path="model.safetensors", size=5, sha256="ab")]


def test_many_files_of_a_folder_become_one_line() -> None:
    reads = [FileRead("sotu", f"texts/{number:03d}.txt", number, f"{number:064d}") for number in range(MOST_FILES + 1)]
    reads.append(FileRead("sotu", "about.txt", 1, "ab"))
    (found,) = data_read(cell("sotu"), reads)
    listing = "".join(f"{number:064d}  {number:03d}.txt\n" for number in range(MOST_FILES + 1))
    assert found.files == [
        FileInfo(
            path="texts/",
            size=sum(range(MOST_FILES + 1)),
            sha256=hashlib.sha256(listing.encode()).hexdigest(),
            count=MOST_FILES + 1,
        ),
        FileInfo(path="about.txt", size=1, sha256="ab"),
    ]


def test_a_source_that_nobody_declared_fails_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key would stay the same when that source changes."""
    with pytest.raises(inputs.UndeclaredDataError, match=r"read a of 'digits', which neither its task"):
        inputs.refuse_undeclared(cell("sotu"), [FileRead("digits", "a", 1, "ab")])
    record = run(cell(), monkeypatch, lambda: note(FileRead("elsewhere", "a", 1, "ab")))
    assert [one.source for one in record.data] == ["elsewhere"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text(name)
    return tmp_path


def of_folder(folder: Path) -> Cell:
    info = replace(INFO, backbone=f"hf:{folder}")
    return replace(cell(), info=info, weights=planned_weights(parts_of(info)))


@pytest.mark.parametrize("how", ["cut", "gone", "new", "changed, time kept"])
def test_weights_must_be_those_of_the_plan(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    planned = of_folder(folder)
    verify_weights(planned)
    file = folder / "model.safetensors"
    stat = file.stat()
    if how == "gone":
        file.unlink()
    elif how == "new":
        (folder / "more.json").write_text("{}")
    else:
        file.write_text("MODEL.safetensors" if "kept" in how else "mod")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    name = "more.json" if how == "new" else "model.safetensors"
    with pytest.raises(ChecksumError, match=rf"{name} (is gone|has come|has another content) since the run"):
        verify_weights(planned)
    record = run(planned, monkeypatch, lambda: None)
    assert record.status == "failed" and f"ChecksumError: hf:{folder}: {name}" in str(record.reason)


def test_weights_that_change_while_the_cell_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "score", lambda *a, **k: (folder / "model.safetensors").write_text("other"))
    record = execute.run_cell(of_folder(folder), None).record
    assert "model.safetensors has another content" in str(record.reason)


def test_weights_are_named_with_their_digests(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = run(of_folder(folder), monkeypatch, lambda: None)
    (weights,) = record.data
    assert weights.source == f"hf:{folder}"
    assert {one.path: one.sha256 for one in weights.files} == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("config.json", "model.safetensors")
    }


def test_the_commit_of_a_hub_name_must_be_that_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "commit", lambda name: "b" * 40)
    planned = cell(weights={"hf:owner/name": {"commit": "a" * 40}})
    with pytest.raises(ChecksumError, match=r"is commit b{40} on this machine, but the run was planned with a{40}"):
        verify_weights(planned)
    verify_weights(cell(weights={"hf:owner/name": {"commit": "unpinned"}}))


def test_kernels_are_named_by_the_cell_that_used_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sparsebench.models.compression.quantisation.packed.kernels import native as packed
    from sparsebench.models.moe.experts import native
    from sparsebench.models.native.build import Built

    (tmp_path / "experts.so").write_bytes(b"code")
    used = [Built(tmp_path / "experts.so", "ab" * 32, bf16=False, matrix_unit=False)]
    monkeypatch.setattr(native, "take_use", lambda: used.pop(0))
    monkeypatch.setattr(packed, "take_use", lambda: None)
    (kernels,) = data_read(cell(), [])
    assert (kernels.source, kernels.sha256) == ("native/experts", "ab" * 32)
    assert kernels.files == [FileInfo(path="experts.so", size=4, sha256="ab" * 32)]
    monkeypatch.setattr(native, "take_use", lambda: None)
    monkeypatch.setattr(packed, "take_use", lambda: Built(tmp_path / "experts.so", "cd" * 32, True, False))
    (kernels,) = data_read(cell(), [])
    assert (kernels.source, kernels.sha256) == ("native/packed", "cd" * 32)
    monkeypatch.setattr(packed, "take_use", lambda: None)
    assert data_read(cell(), []) == []
