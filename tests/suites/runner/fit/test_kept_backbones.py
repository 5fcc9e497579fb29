"""A fitted row opens where the files are not that its backbone was made of."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.models import save_for_hf

from sparsebench.reports.records.record import CellInfo
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.fit import kept_backbones
from sparsebench.suites.runner.fit.kept_backbones import keep_backbones, own_name
from sparsebench.suites.runner.fit.saved import Description, open_fitted, save
from sparsebench.suites.vtab.backbones.timm import load
from sparsebench.suites.vtab.body import VisionBody

from .. import cells

NAME = "test_vit"
IMAGES = np.random.default_rng(0).integers(0, 256, size=(3, 40, 24, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A network of the user's, with a normalisation of its own in the file beside it."""
    network: Any = timm.create_model(NAME, num_classes=3, img_size=32)
    network.pretrained_cfg |= {"mean": (0.1, 0.2, 0.3), "input_size": (3, 32, 32)}
    (tmp_path / "mine").mkdir()
    save_for_hf(network, str(tmp_path / "mine"), safe_serialization=True)
    return tmp_path / "mine" / "model.safetensors"


def cell_on(backbone: str, suite: str = "vtab", task: str = "own_images") -> CellInfo:
    place = {"suite": suite, "task": task, "method": "linear_probe", "label": "probe", "backbone": backbone}
    return replace(cells.INFO, **place, config=asdict(LinearProbe()), budget={"epochs": 1})


def test_a_row_on_weights_of_the_users_opens_without_them(weights: Path, tmp_path: Path) -> None:
    """`predict` on another machine said that the file which `timm:NAME@FILE` names is not there."""
    backbone = f"timm:{NAME}@{weights}:64"
    out = tmp_path / "out"
    keeping = keep_backbones(parts_of(cell_on(backbone)), out)
    assert keeping.said == [] and {file.name for file in (out / "backbones" / "0").iterdir()} == {
        *("model.safetensors", "config.json"),
    }
    body = load(torch.Generator().manual_seed(0), backbone.partition(":")[2])
    model = LinearHeadModel(body, 2, torch.Generator().manual_seed(0)).eval()
    about = Description(
        version="0",
        kind="images",
        cell=asdict(cell_on(backbone)),
        goal="classification",
        classes=["a", "b"],
        targets=["label"],
        kept=keeping.kept,
    )
    subject: Any = SimpleNamespace(model=model, data=SimpleNamespace(body=body))
    save(about, subject, list(IMAGES), out)
    expected = open_fitted(out).outputs(list(IMAGES))
    shutil.rmtree(weights.parent)
    moved = out.rename(tmp_path / "elsewhere")
    found = open_fitted(moved)
    assert torch.equal(found.outputs(list(IMAGES)), expected)
    assert isinstance(found.body, VisionBody) and found.body.mean[1].item() == pytest.approx(0.2 * 255), (
        "of the config.json beside the weights"
    )


def test_a_folder_is_kept_whole_and_large_ones_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "sub").mkdir(parents=True)
    for name in ("config.json", "sub/vocab.txt"):
        (tmp_path / "model" / name).write_text(name)
    name = f"hf:{tmp_path / 'model'}"
    parts = parts_of(cell_on(name, "llm", "own_conversations"))
    keeping = keep_backbones(parts, tmp_path / "out")
    assert own_name(name, keeping.kept, tmp_path / "out") == f"hf:{tmp_path / 'out' / 'backbones' / '0'}"
    assert (tmp_path / "out" / "backbones" / "0" / "sub" / "vocab.txt").read_text() == "sub/vocab.txt"
    monkeypatch.setattr(kept_backbones, "MOST_BYTES", 9)
    large = keep_backbones(parts, tmp_path / "large")
    assert large.said == [f"`predict` needs the files of {name} where they are: 0.0 GB are not copied"]
    assert own_name(name, large.kept, tmp_path) == name and not (tmp_path / "large").exists()


def test_weights_that_are_fetched_are_said(tmp_path: Path) -> None:
    keeping = keep_backbones(parts_of(cell_on("efficientnet_lite0:64")), tmp_path)
    assert keeping.said == [
        "`predict` needs the weights of efficientnet_lite0:64, too, and fetches them where they are not cached"
    ]
    assert keep_backbones(parts_of(cell_on("tiny")), tmp_path) == ({}, [])


def test_a_full_disk_is_one_line(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UsageError, match="backbones/0 cannot be written: No space left on device"):
        keep_backbones(parts_of(cell_on(f"timm:{NAME}@{weights}")), tmp_path)
