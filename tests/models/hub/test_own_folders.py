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
    load_generation_config,
    put,
    read_recipe,
    read_tensors,
    save_generation_config,
    state_of,
    write_recipe,
)


def test_a_recipe_comes_back(tmp_path: Path) -> None:
    write_recipe(tmp_path / "recipe.json", 3, {"layers": [1, 2]})
    assert read_recipe(tmp_path / "recipe.json", 3) == {"format": 3, "layers": [1, 2]}


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


def test_the_state_holds_tied_ones_once_and_all_buffers() -> None:
    assert set(state_of(Model())) == {"first.weight", "count", "scale"}


def test_what_does_not_fit_is_named_by_kind() -> None:
    tensors = {"first.weight": torch.zeros(3, 2), "count": torch.zeros(2), "other": torch.zeros(1)}
    with pytest.raises(
        ModelError, match="it: tensors 1 missing, as scale; 1 unknown, as other; 1 of another shape, as fi"
    ):
        check_same(tensors, Model(), "it")
    check_same(state_of(Model()), Model(), "it")


def test_tensors_are_put_where_they_belong() -> None:
    with torch.device("meta"):
        model = Model()
    frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
    put(model, "second.weight", torch.ones(2, 2))
    put(model, "count", torch.tensor([3, 4]))
    put(model, "scale", torch.full((1,), 5.0))
    assert model.second.weight.requires_grad and not model.count.requires_grad
    assert float(state_of(model)["scale"]) == 5 and "scale" in model._buffers
    put(model, "first.weight", frozen)
    assert model.first.weight is frozen


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
