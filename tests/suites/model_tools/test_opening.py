"""Models that open. Folders that are none: `tests/faults/verbs/test_models.py`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import hub
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


def test_only_the_weights_that_open_are_on_disk(dense: Path, tmp_path: Path) -> None:
    """Folders of Mistral hold a second copy of the weights; what opens is what transformers would."""
    (tmp_path / "consolidated.safetensors").write_bytes(b"0" * 1000)
    assert size_on_disk(tmp_path) == 1000
    open_model(dense).model.save_pretrained(tmp_path, max_shard_size="50KB")
    shards = [file.stat().st_size for file in tmp_path.glob("model-*.safetensors")]
    assert len(shards) > 1 and size_on_disk(tmp_path) == sum(shards)
    shutil.copy(dense / "model.safetensors", tmp_path)
    assert size_on_disk(tmp_path) == (dense / "model.safetensors").stat().st_size


def test_a_name_of_the_hub_is_fetched_where_its_weights_are_not_here(dense: Path, monkeypatch) -> None:
    here: dict[str, Path] = {}
    monkeypatch.setattr(hub, "folder_here", here.get)
    monkeypatch.setattr(hub, "fetch", lambda name: None)
    with pytest.raises(ModelError, match="owner/name was fetched from the hub and is not whole in its cache"):
        open_model("owner/name")
    monkeypatch.setattr(hub, "fetch", lambda name: here.update({name: dense}))
    assert open_model("owner/name").folder == dense
