"""What all methods of PEFT share: the two files, the head, tensors that do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters.files.peft_folder import Contents, PeftFile, one_for_all, read_folder, write_folder
from sparsebench.models.errors import ModelError


def here(config: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> PeftFile:
    return PeftFile("here", config, tensors or {}, "IA3")


def test_a_folder_there_and_back(tmp_path: Path) -> None:
    values = torch.arange(6.0).view(2, 3).t()
    write_folder(tmp_path / "new", Contents({"peft_type": "IA3"}, {"base_model.model.a.ia3_l": values}))
    file = read_folder(tmp_path / "new")
    assert file.config == {"peft_type": "IA3"} and torch.equal(file.tensors["a.ia3_l"], values)
    (tmp_path / "new" / "adapter_config.json").write_bytes(b"\xff{")
    with pytest.raises(ModelError, match="cannot be read"):
        read_folder(tmp_path / "new")
    (tmp_path / "new" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no adapter_model.safetensors"):
        read_folder(tmp_path / "new")


def test_fields_count_where_they_are_set() -> None:
    fields = {"peft_type": "IA3", "new": None, "r": 2, "target_modules": ["q"], "bias": "none"}
    here(fields).check_fields(frozenset({"r", "bias"}))
    with pytest.raises(ModelError, match="here is not plain IA3: bias='all', new=1, r=2 cannot be loaded"):
        here({"new": 1, "r": 2, "bias": "all"}).check_fields(frozenset({"bias"}))


def test_tensors_by_module() -> None:
    one = torch.ones(1)
    file = here({}, {"a.b.vera_lambda_d": one, "head.weight": one})
    found, rest = file.by_module({"vera_lambda_d": "d"})
    assert found == {"a.b": {"d": one}} and list(rest) == ["head.weight"]
    with pytest.raises(ModelError, match=r"here is not whole: vera_lambda_d or vera_lambda_b of a.b is missing"):
        file.by_module({"vera_lambda_d": "d", "vera_lambda_b": "b"})
    with pytest.raises(ModelError, match="ia3_l of any module is missing"):
        file.by_module({"ia3_l": "factor"})


def test_nothing_but_the_head_comes_along(build: Callable[[str], nn.Module]) -> None:
    with pytest.raises(ModelError, match=r"holds pooler: in addition to IA3 only the head .classifier."):
        here({}).heads(build("bert"), {"pooler.weight": torch.ones(1)})
    options = here({}).heads(build("bert"), {"classifier.weight": torch.ones(1)})
    assert options == {"heads": (), "train_head": True}
    assert here({}).heads(build("bert"), {}) == {"heads": (), "train_head": False}
    options = here({}).heads(nn.Linear(2, 2), {"a.b.weight": torch.ones(1), "a.b.bias": torch.ones(1)})
    assert options == {"heads": (r"\Aa\.b",), "train_head": True}


def test_one_value_for_all_layers() -> None:
    assert one_for_all("dropout", [0.1, 0.1]) == 0.1
    with pytest.raises(ModelError, match=r"differ in dropout \(0.1, 0.2\), of which a file of PEFT says one"):
        one_for_all("dropout", [0.1, 0.2, 0.1])
