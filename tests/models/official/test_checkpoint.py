"""Tensors are taken once each from folders and files, whatever they are; what is not whole is refused."""

import json
from pathlib import Path

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.official.checkpoint import Checkpoint, Place

from .folders import RECORDED, V1, V2, copied


def test_every_tensor_is_taken_or_dropped(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3), "b": torch.zeros(2, 2)}, tmp_path / "state.pth")
    checkpoint = Checkpoint(tmp_path / "state.pth")
    assert "a" in checkpoint and "c" not in checkpoint
    assert checkpoint.take("a", 3).tolist() == [0, 1, 2]
    with pytest.raises(ModelError, match=r"1 tensors of .*b for one"):
        checkpoint.finish()
    checkpoint.drop("b")
    checkpoint.finish()


def test_what_training_programs_put_beside_the_weights(tmp_path: Path) -> None:
    torch.save({"epoch": 7, "state_dict": {"a": torch.zeros(1)}, "temperature": 1.0}, tmp_path / "best.pth.tar")
    checkpoint = Checkpoint(tmp_path / "best.pth.tar")
    assert checkpoint.names() == ["a"]
    assert checkpoint.beside == {"epoch": 7, "temperature": 1.0}


def test_names_of_a_prefix() -> None:
    names = Checkpoint(RECORDED / V2).names("model.layers.1.self_attn.")
    assert [name.removeprefix("model.layers.1.self_attn.") for name in names] == [
        "k_proj.weight",
        "o_proj.weight",
        "q_proj.weight",
        "v_proj.weight",
    ]


def test_an_index_that_leads_elsewhere(tmp_path: Path) -> None:
    folder = copied(V2, tmp_path)
    index = folder / "model.safetensors.index.json"
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed["weight_map"]["lm_head.weight"] = "../other.safetensors"
    index.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ModelError, match="no file of its folder"):
        Checkpoint(folder)


def test_an_index_that_names_more_than_there_is(tmp_path: Path) -> None:
    folder = copied(V2, tmp_path)
    index = folder / "model.safetensors.index.json"
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed["weight_map"]["more"] = listed["weight_map"]["lm_head.weight"]
    index.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ModelError, match="lacks more"):
        Checkpoint(folder)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a folder nor a file"):
        Checkpoint(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"no config\.json"):
        Checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="not an object"):
        Checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="has no weights"):
        Checkpoint(tmp_path)


def test_a_text_among_the_weights(tmp_path: Path) -> None:
    torch.save({"a": "text"}, tmp_path / "state.pth")
    with pytest.raises(ModelError, match="holds 'a', a str"):
        Checkpoint(tmp_path / "state.pth")


def test_values() -> None:
    checkpoint = Checkpoint(RECORDED / V1)
    checkpoint.check_values({"num_experts": 8, "not there": 3})
    assert checkpoint.required("num_experts") == 8
    with pytest.raises(ModelError, match="num_experts=8; only 4 is known"):
        checkpoint.check_values({"num_experts": 4})
    with pytest.raises(ModelError, match="does not say not there"):
        checkpoint.required("not there")


def test_a_model_gets_every_tensor(tmp_path: Path) -> None:
    """Those of other shapes row by row; a tensor that none is named for is missed."""
    torch.save({"w": torch.arange(6.0).view(2, 3, 1), "b": torch.ones(2)}, tmp_path / "state.pth")
    checkpoint = Checkpoint(tmp_path / "state.pth")
    with torch.device("meta"):
        model = torch.nn.Linear(3, 2)
    weight = {"weight": Place("w", (2, 3, 1))}
    checkpoint.fill(model, weight, {"bias": torch.zeros(2)})
    assert model.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and model.bias.tolist() == [0, 0]
    with pytest.raises(ModelError, match="does not fit its configuration: tensors 1 missing, as bias"):
        checkpoint.fill(model, weight, {})
    with pytest.raises(ModelError, match=r"b has the shape \(2,\); \(2, 3\) was expected"):
        checkpoint.fill(model, {"weight": Place("b")}, {})
