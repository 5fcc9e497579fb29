"""The command line of the pre-training."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from sparsebench.data.vision.cifar10 import CLASSES
from sparsebench.suites.vtab.pretraining import __main__ as command
from sparsebench.suites.vtab.pretraining import card as card_module
from sparsebench.suites.vtab.pretraining.recipes import Recipe


@pytest.fixture(autouse=True)
def small(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_only = replace(recipe, photographs=0)
    monkeypatch.setattr(command, "RECIPES", {"small": recipe, "drawn": drawn_only})
    monkeypatch.setattr(card_module, "VALIDATION", 8)
    threads = torch.get_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda count: threads())


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command.main)
    return CliRunner().invoke(app, list(arguments))


def photographs(root: Path) -> Path:
    for part in ("train", "test"):
        for label, kind in enumerate(CLASSES):
            file = io.BytesIO()
            Image.fromarray(np.full((32, 32, 3), 20 * label, np.uint8)).save(file, "png")
            (root / part / kind).mkdir(parents=True)
            (root / part / kind / "0.png").write_bytes(file.getvalue())
    return root


def test_both_files_and_nothing_else(tmp_path: Path) -> None:
    ended = run("small", str(tmp_path / "out"), "--photographs", str(photographs(tmp_path / "copy")))
    assert ended.exit_code == 0, ended.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["small.json", "small.safetensors"]
    card = json.loads((tmp_path / "out" / "small.json").read_text(encoding="utf-8"))
    assert card["sources"][2].startswith("10 photographs of CIFAR-10, sha256 ")
    assert "step 0: fractals category" in ended.output and card["validation"]["photographs"]["images"] == 8


def test_drawn_images_alone_ask_for_no_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nobody asked for photographs")

    monkeypatch.setattr(command, "cifar10", refuse)
    ended = run("drawn", str(tmp_path))
    assert ended.exit_code == 0, ended.output
    assert "no photograph" in json.loads((tmp_path / "drawn.json").read_text(encoding="utf-8"))["pre-training"]


def test_an_unknown_name(tmp_path: Path) -> None:
    ended = run("large", str(tmp_path))
    assert ended.exit_code == 2 and "'large': write one of small, drawn" in " ".join(ended.output.split())
