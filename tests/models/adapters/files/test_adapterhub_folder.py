"""Folders that are no folders of AdapterHub's library."""

from pathlib import Path

import pytest
import torch

from sparsebench.models.adapters.files.adapterhub_folder import read_folder, write_folder, write_head
from sparsebench.models.errors import ModelError


def test_there_and_back(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", {"config": {"r": 1}}, {"x": torch.arange(3)})
    write_head(tmp_path / "a", {"num_labels": 2}, {"classifier.bias": torch.zeros(2)})
    about, tensors = read_folder(tmp_path / "a")
    assert about == {"config": {"r": 1}} and torch.equal(tensors["x"], torch.arange(3))
    assert (tmp_path / "a" / "head_config.json").is_file()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no adapter_config.json"):
        read_folder(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match=r"says no config \(PEFT's: load_peft\)"):
        read_folder(tmp_path)
    file.write_text('{"config": {}}')
    with pytest.raises(ModelError, match=r"has neither pytorch_adapter.bin nor adapter.safetensors"):
        read_folder(tmp_path)
    (tmp_path / "adapter.safetensors").write_bytes(b"{}")
    with pytest.raises(ModelError, match="cannot be read"):
        read_folder(tmp_path)
    file.write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        read_folder(tmp_path)
