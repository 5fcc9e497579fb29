"""A folder of result folders: found, and written as one document."""

import json
import shutil
from pathlib import Path

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.plan_file import PLAN_FILE, write_plan
from sparsebench.suites.runner.planning.profile import load_profile
from sparsebench.suites.runner.results.readings import OBJECTION, WORDS, objection, open_readings
from sparsebench.suites.runner.results.summary import write_report
from sparsebench.suites.runner.results.write_results import is_collection, write_results


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Results of the smoke profile of one suite, as if each of its cells had failed."""
    folder = tmp_path / "results" / "smoke"
    store = Store(folder).create()
    profile = load_profile("smoke", ["vtab"])
    cells = expand(profile)
    write_plan(profile, cells, folder, "exact")
    for cell in cells:
        store.write(failure(cell, "failed", "not run", started="2026-11-25T00:00:00+00:00"), None)
    return tmp_path / "results"


def test_a_result_folder_is_no_collection(collection: Path) -> None:
    assert is_collection(collection)
    assert not is_collection(collection / "smoke")
    assert not is_collection(collection / "nowhere")


def test_the_document_links_the_folders_from_where_it_lies(collection: Path, tmp_path: Path) -> None:
    (collection / "smoke" / "reading.md").write_text("Nothing ran.")
    write_results(collection, tmp_path / "docs")
    text = (tmp_path / "docs" / "RESULTS.md").read_text()
    assert "## [../results/smoke](../results/smoke)" in text
    assert "Nothing ran." in text
    assert "No cell of these records has been run again to see whether they hold." in text
    assert (tmp_path / "docs" / "overview-wide-dark.svg").exists()


def test_an_objection_to_a_study_is_told_wherever_its_findings_are(collection: Path, tmp_path: Path) -> None:
    folder = collection / "smoke"
    claim = {"id": "C1", "statement": "s", "source": "s", "tasks": ["t"], "metric": "m", "rows": ["a", "b"]}
    plan = json.loads((folder / PLAN_FILE).read_text())
    plan["vtab"]["claims"] = [claim | {"suite": "vtab", "direction": "lower"}]
    (folder / PLAN_FILE).write_text(json.dumps(plan))
    assert objection(folder) == ""
    (folder / OBJECTION).write_text("Objected to: its control\nlearns more. Until it is made again.\n")
    line = "Objected to: its control learns more. Until it is made again."
    write_results(collection, tmp_path / "docs")
    text = (tmp_path / "docs" / "RESULTS.md").read_text()
    section = text.partition("## [../results/smoke]")[2]
    assert section.splitlines()[0].endswith(": set-up objected to, see the end of this section")
    assert f"### Doubt\n\n- **{line}**\n" in section
    write_report([folder], tmp_path / "page")
    assert (tmp_path / "page" / "claims.md").read_text().splitlines()[2] == f"**{line}**"
    page = unpack((tmp_path / "page" / "index.html").read_text())
    assert page["about"]["warnings"][0] == line
    assert page["about"]["words"] == ""
    (folder / WORDS).write_text("We *read* this.")
    with open_readings([folder]) as reading:
        assert reading.words == "We *read* this."
    (folder / OBJECTION).write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"objection\.md cannot be read"):
        objection(folder)


def test_a_record_that_cannot_be_read_is_an_error(collection: Path, tmp_path: Path) -> None:
    (collection / "smoke" / "records" / "broken.json").write_text("{")
    with pytest.raises(UsageError, match="all records or none"):
        write_results(collection, tmp_path / "docs")


def test_several_folders_are_one_document(collection: Path, tmp_path: Path) -> None:
    shutil.copytree(collection / "smoke", collection / "again")
    write_results(collection, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.index("[results/again]") < text.index("[results/smoke]")
