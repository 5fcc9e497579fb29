"""Models that open, and folders that are none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.models import save
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.opening import is_stock, open_model, size_on_disk


def test_stock_and_changed_folders_open(dense: Path, work: Callable[..., Work], tmp_path: Path) -> None:
    opened = open_model(dense)
    assert is_stock(opened.model) and opened.tokenizer("ab")["input_ids"]
    assert size_on_disk(opened.folder) == (dense / "model.safetensors").stat().st_size
    mixture = work(MoEConfig(num_experts=4))
    save(mixture.model, tmp_path / "mixture", tokenizer=mixture.tokenizer)
    assert not is_stock(open_model(str(tmp_path / "mixture")).model)


def edited(dense: Path, folder: Path, **changes: object) -> Path:
    shutil.copytree(dense, folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def test_mistakes(dense: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    no_tokenizer = tmp_path / "no-tokenizer"
    no_tokenizer.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(dense / name, no_tokenizer)
    damaged = edited(dense, tmp_path / "damaged")
    (damaged / "config.json").write_text("{")
    mistakes = {
        tmp_path / "empty": "has no config.json",
        tmp_path / "emtpy": "did you mean .*empty",
        edited(dense, tmp_path / "masked", architectures=["BertForMaskedLM"]): "is BertForMaskedLM, no causal",
        edited(dense, tmp_path / "nameless", architectures=None): "no class by its config.json",
        edited(dense, tmp_path / "deeper", num_hidden_layers=3): "tensors are missing",
        no_tokenizer: "has no tokenizer|cannot load",
        damaged: "is damaged",
    }
    for folder, message in mistakes.items():
        with pytest.raises(ModelError, match=message):
            open_model(folder)
