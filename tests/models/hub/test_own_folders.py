"""Recipes and tensors of our own folders: they come back, and damaged ones are refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.own_folders import (
    check_same,
    is_own_folder,
    load_generation_config,
    put_all,
    read_own,
    read_recipe,
    read_tensors,
    save_generation_config,
    state_of,
    write_own,
)


def test_recipe_and_tensors_come_back_from_several_files(tmp_path: Path) -> None:
    recipe = {"model": {"room": ""}, "layers": [1, 2]}
    tensors = {name: torch.full((100,), float(name)) for name in ("1", "2", "3")}
    assert not is_own_folder(tmp_path)
    write_own(tmp_path, recipe, tensors, max_shard_size=500)
    assert is_own_folder(tmp_path) and len(list(tmp_path.glob("*.safetensors"))) == 3
    found, read = read_own(tmp_path)
    assert found == recipe and read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    (tmp_path / "sparsebench-00003-of-00003.safetensors").rename(tmp_path / "sparsebench-00003-of-00004.safetensors")
    with pytest.raises(ModelError, match=r"weights of more than one save \(sparsebench-00001-of-00003.*-of-00004"):
        read_own(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ModelError, match="no weights"):
        read_own(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is damaged"), ("[]", "is damaged"), ("{}", "is damaged"), ('{"format": 4}', "format 4")],
)
def test_other_recipes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        read_recipe(tmp_path / "recipe.json", 3)


def test_tensors_are_read_and_damaged_files_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"a": torch.arange(6.0)}, file)
    assert torch.equal(read_tensors(file)["a"], torch.arange(6.0))
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ModelError, match="damaged or cut short"):
        read_tensors(file)
    with pytest.raises(ModelError, match="cannot be read"):
        read_tensors(tmp_path / "none")


class Model(nn.Module):
    """A tied weight, a count, and a buffer that is not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight
        self.count = nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
        self.register_buffer("scale", torch.ones(1), persistent=False)


def meta_model() -> Any:
    with torch.device("meta"):
        return Model()


def test_the_state_holds_tied_ones_once_and_all_buffers() -> None:
    assert set(state_of(Model())) == {"first.weight", "count", "scale"}


def test_what_does_not_fit_is_named_by_kind() -> None:
    tensors = {"first.weight": torch.zeros(3, 2), "count": torch.zeros(2), "other": torch.zeros(1)}
    with pytest.raises(
        ModelError, match="it: tensors 1 missing, as scale; 1 unknown, as other; 1 of another shape, as fi"
    ):
        check_same(tensors, meta_model(), "it")
    check_same(state_of(Model()), Model(), "it")


def test_buffers_that_were_computed_may_be_missing() -> None:
    state = state_of(Model())
    del state["scale"]
    check_same(state, Model(), "it")
    model = meta_model()
    with pytest.raises(ModelError, match="1 missing, as scale"):
        check_same(state, model, "it")


def test_tensors_are_put_where_they_belong() -> None:
    model = meta_model()
    values = {"first.weight": torch.ones(2, 2), "count": torch.tensor([3, 4]), "scale": torch.full((1,), 5.0)}
    put_all(model, values)
    assert model.second.weight is model.first.weight and model.second.weight.requires_grad
    assert not model.count.requires_grad
    assert float(state_of(model)["scale"]) == 5 and "scale" in model._buffers
    model.first.weight.requires_grad_(False)
    put_all(model, values)
    assert not model.first.weight.requires_grad and model.first.weight.data_ptr() == values["first.weight"].data_ptr()


def test_how_a_model_generates_comes_back_if_it_says_so(tmp_path: Path) -> None:
    from transformers import GenerationConfig

    model: Any = Model()
    save_generation_config(model, tmp_path)
    load_generation_config(model, tmp_path)
    assert not list(tmp_path.iterdir()) and not hasattr(model, "generation_config")
    model.generation_config = GenerationConfig(max_new_tokens=7)
    save_generation_config(model, tmp_path)
    again: Any = Model()
    load_generation_config(again, tmp_path)
    assert again.generation_config.max_new_tokens == 7
