"""The hub's own reader gives our results back."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub.hf_api import parse_eval_result_entries

from sparsebench.reports.export.hub_results import export_hub
from sparsebench.reports.records.record import Costs, RecordError


def entries(folder: Path) -> dict[str, object]:
    found = {}
    for path in folder.glob("*/.eval_results/*.yaml"):
        (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
        found[f"{path.parts[-3].rpartition('-')[0]} {path.stem}"] = entry
    return found


def test_a_file_for_each_model_and_task_comes_back(make, tmp_path: Path) -> None:
    records = make.side("MoE 50 %", [0.7, 0.8, 0.9], costs=Costs(unit="image")) + make.side("base", [0.5], task="b")
    export = export_hub([*records, make.record("base", status="oom")], tmp_path / "out")
    found = entries(tmp_path / "out")
    assert sorted(found) == ["MoE-50-on-vit-tiny vtab-1.t-1", "base-on-vit-tiny vtab-1.b-1"]
    entry = found["MoE-50-on-vit-tiny vtab-1.t-1"]
    assert (entry.dataset_id, entry.task_id, entry.value) == ("sparsebench/vtab", "t", pytest.approx(0.8))
    assert entry.date == "2026-11-24T10:00:04+00:00"
    for words in ("accuracy (share), higher is better", "mean over seeds 0, 1, 2", "95 % interval 0.", "epochs=10"):
        assert words in entry.notes
    assert all(record.id in entry.notes for record in records[:3])
    assert export.files == {"results": 2}
    assert export.left_out == {"records without a score": 1, "records' costs": 3}
    assert "sparsebench/vtab" in export.note


def test_settings_of_one_row_have_files_of_their_own_and_one_seed_counts_once(make, tmp_path: Path) -> None:
    records = [make.record("a", cell={"budget": {"epochs": epochs}}) for epochs in (1, 2)]
    export_hub(records, tmp_path / "out", "me/mine")
    found = entries(tmp_path / "out")
    assert len(found) == 2 and {entry.dataset_id for entry in found.values()} == {"me/mine"}
    again = make.record("a", id="other-c0de", cell={"budget": {"epochs": 1}, "config": {"rank": 9}})
    with pytest.raises(RecordError, match="two records of seed 0"):
        export_hub([*records, again], tmp_path / "second")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
