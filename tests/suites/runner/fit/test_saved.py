"""A fitted row comes back from its files. Folders that are none: `tests/faults/verbs/test_predict.py`."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.fit.saved import open_fitted, read_description, save


def test_what_is_opened_predicts_in_the_unit_of_the_targets(fitted: Path) -> None:
    found = open_fitted(fitted)
    outputs = found.outputs(["CCc1ccccc1", "CCCCc1ccccc1"])
    assert outputs.shape == (2, 1) and (outputs > 0).all() and (outputs < 6).all()
    assert isinstance(found.model, LinearHeadModel)
    raw = found.model(found.body.collate(list(found.body.encode(["CCc1ccccc1"]))))
    torch.testing.assert_close(raw * found.about.scale.std + found.about.scale.mean, outputs[:1])


def test_a_model_that_does_not_come_back_is_not_saved(fitted: Path, tmp_path: Path) -> None:
    """A buffer that no state dict has changes the outputs, and is lost."""
    from sparsebench.suites.prediction.task import Predictor

    found = open_fitted(fitted)
    found.model.register_forward_hook(lambda *called: called[-1] + 1)

    class Data:
        body = found.body

    with pytest.raises(UsageError, match="gives other outputs"):
        save(found.about, Predictor(found.model, Data()), ["CCO"], tmp_path)  # type: ignore[arg-type]


def test_the_file_of_its_backbone_is_gone(fitted: Path, tmp_path: Path) -> None:
    """`predict` ended in a ValueError where the file that `timm:NAME@FILE` names had been moved."""
    about = read_description(fitted)
    cell = {**about.cell, "suite": "vtab", "task": "own_images", "backbone": "timm:resnet10t@gone.safetensors"}
    moved = replace(about, kind="images", goal="classification", classes=["a", "b"], mean=[], std=[], cell=cell)
    (tmp_path / "fit.json").write_text(json.dumps(asdict(moved)))
    with pytest.raises(
        UsageError, match=r"its backbone timm:resnet10t@gone\.safetensors cannot be loaded: no file gone"
    ):
        open_fitted(tmp_path)
