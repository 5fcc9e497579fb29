"""What all methods of PEFT share: the two files, the head, tensors that do not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsebench.models.adapters.files.peft_folder import (
    by_module,
    check_fields,
    check_head,
    check_whole,
    read_folder,
    write_folder,
)
from sparsebench.models.errors import ModelError


def test_a_folder_there_and_back(tmp_path: Path) -> None:
    tensors = {"base_model.model.a.ia3_l": torch.arange(6.0).view(2, 3).t()}
    write_folder(tmp_path / "new", {"peft_type": "IA3"}, tensors)
    config, read = read_folder(tmp_path / "new")
    assert config == {"peft_type": "IA3"} and torch.equal(read["base_model.model.a.ia3_l"], tensors.popitem()[1])
    (tmp_path / "new" / "adapter_config.json").write_bytes(b"\xff{")
    with pytest.raises(ModelError, match="cannot be read"):
        read_folder(tmp_path / "new")
    (tmp_path / "new" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no adapter_model.safetensors"):
        read_folder(tmp_path / "new")


def test_fields_count_where_they_are_set() -> None:
    check_fields({"peft_type": "IA3", "new": None, "r": 2, "target_modules": ["q"]}, frozenset({"r"}), "IA3", "here")
    with pytest.raises(ModelError, match="here is not plain IA3: new=1, r=2 cannot be loaded"):
        check_fields({"new": 1, "r": 2}, frozenset(), "IA3", "here")


def test_tensors_by_module() -> None:
    one = torch.ones(1)
    tensors = {"base_model.model.a.b.vera_lambda_d": one, "base_model.model.head.weight": one}
    found, rest = by_module(tensors, {"vera_lambda_d": "d", "vera_lambda_b": "b"})
    assert found == {"a.b": {"d": one}} and list(rest) == ["head.weight"]
    with pytest.raises(ModelError, match=r"vectors of a.b is missing"):
        check_whole(found, 2, "vectors", "here")
    with pytest.raises(ModelError, match="vectors of any module is missing"):
        check_whole({}, 2, "vectors", "here")


def test_nothing_but_the_head_comes_along(build: Callable[[str], nn.Module]) -> None:
    check_head(build("bert"), {"classifier.weight": torch.ones(1)}, "IA3", "here")
    with pytest.raises(ModelError, match=r"holds pooler: in addition to IA3 only the head .classifier."):
        check_head(build("bert"), {"pooler.weight": torch.ones(1)}, "IA3", "here")
    assert check_head(build("bert"), {"classifier.weight": torch.ones(1)}, "IA3", "here") == ()
    named = check_head(nn.Linear(2, 2), {"a.b.weight": torch.ones(1), "a.b.bias": torch.ones(1)}, "IA3", "here")
    assert named == (r"\Aa\.b",)
