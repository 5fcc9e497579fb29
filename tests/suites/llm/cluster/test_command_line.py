"""The command line: a plan in a few lines, and mistakes in one."""

from pathlib import Path

import yaml
from typer.testing import CliRunner

from sparsebench.suites.llm.cluster.__main__ import app

from .tiny import recipe, write_model, write_texts


def test_from_plan_to_conversion(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(recipe(1, "text", "llama_moe_v1_4of16")))
    planned = CliRunner().invoke(app, ["plan", str(file)])
    assert planned.exit_code == 0, planned.output
    assert "first: 3 steps of 0.00 M tokens (1 GPUs × 2 × 1 rows of 32)" in planned.output
    write_model(tmp_path / "dense")
    write_texts(tmp_path / "data" / "first")
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    converted = CliRunner().invoke(app, ["convert", str(file), "--model", str(tmp_path / "dense"), *places])
    assert converted.exit_code == 0, converted.output
    assert (tmp_path / "out" / "start" / "model.safetensors").is_file()


def test_mistakes_are_one_line_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(recipe(2, "text", "llama_moe_v1_4of16")))
    for arguments, words in (
        (["plan", "v1_9gpu"], "no recipe 'v1_9gpu'"),
        (["plan", str(file), "--preset", "cmoe_3p1of8"], "is no preset of this recipe"),
        (["train", str(file), "--data", "nowhere", "--out", str(tmp_path)], "the recipe is for 2 GPUs"),
    ):
        found = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
        assert found.exit_code == 2
        assert words in found.output
        assert "Traceback" not in found.output
