"""Checkpoints that are given become a part of a profile; what cannot be is refused in a line."""

import os
from pathlib import Path

import pytest

from sparsebench.reports.tables.matrix import Row
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.show.reproduction.chosen import choose, refuse, stand_in, use_data
from sparsebench.suites.runner.show.reproduction.plan import plan_of

ONE = "LLaMA-MoE-3.5B (2/8)"


def test_each_checkpoint_is_a_row_on_a_backbone_of_its_own(tmp_path: Path) -> None:
    plan = plan_of("v1-table-2")
    found = choose("v1-table-2", plan, [f"{ONE}={tmp_path}"])
    assert found.backbones == (f"hf:{tmp_path}",) and found.who == "ours" and found.tasks == plan.tasks
    assert found.name_of(Row("dense", f"hf:{tmp_path}"), plan, ()) == ONE


def test_checkpoints_fill_the_places_of_backbone_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"
    file.touch()
    plan = plan_of("idat-vtab-1k")
    found = choose("idat-vtab-1k", plan, [f"student={file}", f"teacher={file}"])
    assert found.backbones == (f"timm:vit_base_patch16_224@{file}",)
    assert found.settings == (f"idat.teacher=timm:vit_small_patch16_224@{file}",)


def test_another_network_reads_the_file_and_is_not_called_ours(tmp_path: Path) -> None:
    (tmp_path / "S_16.npz").touch()
    plan, given = plan_of("vtab"), [str(tmp_path / "S_16.npz")]
    assert choose("vtab", plan, given).backbones == (f"timm:vit_base_patch16_224@{given[0]}",)
    found = choose("vtab", plan, given, "vit_small_patch16_224:96")
    assert found.backbones == (f"timm:vit_small_patch16_224:96@{given[0]}",) and found.who == "another model"
    with pytest.raises(UsageError, match="v1-table-2 is no network of timm"):
        choose("v1-table-2", plan_of("v1-table-2"), [], "vit_small_patch16_224")


def test_a_row_has_the_name_of_the_source_beside_it(tmp_path: Path) -> None:
    plan = plan_of("vtab")
    found = stand_in("vtab", plan)
    for label, published, name in (
        ("BitFit", ("bitfit", "ssf"), "bitfit"),
        ("BitFit", ("Full FT", "BitFit"), "BitFit"),
        ("LoRA r=8, steps=1", ("LoRA",), "LoRA"),
        ("LayerNorm", ("LoRA",), "layernorm"),
    ):
        assert found.name_of(Row(label, "tiny"), plan, published) == name


def test_one_checkpoint_needs_no_name_and_a_hub_name_no_import() -> None:
    found = choose("compression-mixtral", plan_of("compression-mixtral"), ["mistralai/Mixtral-8x7B-v0.1"])
    assert found.backbones == ("hf:mistralai/Mixtral-8x7B-v0.1",)
    assert choose("moses-baselines", plan_of("moses-baselines"), []).backbones == ()


@pytest.mark.parametrize(
    ("table", "given", "message"),
    [
        ("v1-table-2", [], 'needs --checkpoint "LLaMA-MoE-3.0B'),
        ("v1-table-2", ["{here}"], "say which one it is"),
        ("v1-table-2", ["LLaMA-MoE-3.5B (2/9)={here}"], "did you mean LLaMA-MoE-3.5B"),
        ("v1-table-2", [f"{ONE}={{here}}", f"{ONE}={{here}}"], "given twice"),
        ("v1-table-2", [f"{ONE}={{here}}/none"], "`sparsebench import` writes such a folder"),
        ("idat-vtab-1k", ["student={here}"], 'needs --checkpoint "teacher='),
        ("compression-mixtral", ["someone/else"], "someone/else does not exist"),
        ("moses-baselines", ["{here}"], "needs none"),
        ("padnet-glue", ["{here}"], "cannot be made again here"),
        ("v1-sampling", [], "trained by a recipe"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, table: str, given: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(table, plan_of(table), [text.replace("{here}", str(tmp_path)) for text in given])


def test_a_stand_in_is_called_one() -> None:
    plan = plan_of("v1-table-2")
    found = stand_in("v1-table-2", plan)
    assert found.who == "stand-in" and (found.limit, found.seeds) == (20, 1)
    assert found.name_of(Row("dense", found.backbones[0]), plan, (ONE,)) == "tiny_mixture, no row of the paper"
    with pytest.raises(UsageError, match="trained by a recipe"):
        stand_in("v1-sampling", plan_of("v1-sampling"))
    with pytest.raises(UsageError, match="cannot be made"):
        refuse("dot-moe", plan_of("dot-moe"))


def test_rows_are_found_by_the_longest_label_before_a_setting() -> None:
    plan = plan_of("compression-mixtral")
    found = stand_in("compression-mixtral", plan)
    published = ("AWQ", "AWQ, then Layer Drop, 8 of 32", "Layer Drop, 8 of 32")
    for label, name in {
        "AWQ": "AWQ",
        "AWQ, then Layer Drop, 8 of 32, layer_drop.n=1": "AWQ, then Layer Drop, 8 of 32",
        "Layer Drop, 8 of 32, n=1": "Layer Drop, 8 of 32",
        "other": "other",
    }.items():
        assert found.name_of(Row(label, "small"), plan, published) == name


def test_the_folder_of_data_is_named_to_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_VTAB1K", raising=False)
    use_data(plan_of("petl-vision"), None)
    assert "SPARSEBENCH_VTAB1K" not in os.environ
    with pytest.raises(UsageError, match="is no folder"):
        use_data(plan_of("petl-vision"), tmp_path / "none")
    with pytest.raises(UsageError, match="no folder of yours"):
        use_data(plan_of("v1-table-2"), tmp_path)
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", "another")
    use_data(plan_of("petl-vision"), tmp_path)
    assert os.environ["SPARSEBENCH_VTAB1K"] == str(tmp_path)
