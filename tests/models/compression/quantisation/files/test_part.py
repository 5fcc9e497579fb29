"""Our own files: the same outputs to the bit, bytes as stated, no dense weight on the way, and bad folders."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.compression.quantisation import (
    Grid,
    PackedTensor,
    QuantiseConfig,
    quantise,
)
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError

from ....stock_mixtures import stock
from ...slimming.mixtures import FUSED, batches, mixture
from ..models import output

TRANSFORMERS = [name for name in FUSED if name not in ("vit", "graphsgpt")]
RECIPE = "sparsebench.json"
WEIGHTS = "sparsebench.safetensors"
CONFIG = QuantiseConfig(method="rtn", grid=Grid(bits=3, group_size=16, symmetric=False))


def quantised(name: str) -> Any:
    model = mixture(name)
    quantise(model, CONFIG)
    return model


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_reloaded_model_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    """B14: and the stated bytes are those of all saved tensors."""
    model = quantised(name)
    save(model, tmp_path / "packed")
    stated = sum(tensor.nbytes for tensor in load_file(tmp_path / "packed" / WEIGHTS).values())
    again = load(tmp_path / "packed")
    for batch in batches(name):
        assert torch.equal(output(model, batch), output(again, batch))
    assert type(again) is type(model) and not again.training
    assert stored_bytes(model) <= stated <= stored_bytes(model) + 1024  # frequencies of positions, which are recomputed
    assert stored_bytes(again) == stored_bytes(model)


@pytest.mark.parametrize("name", ["vit", "graphsgpt"])
def test_other_models_come_back_into_one_of_their_kind(name: str, tmp_path: Path) -> None:
    model = quantised(name)
    example = batches(name)[0]
    save(model, tmp_path / "packed", like=mixture(name), example=example)
    again = load(tmp_path / "packed", like=mixture(name))
    assert any(isinstance(value, PackedTensor) for value in again.parameters())
    assert torch.equal(output(model, example), output(again, example))
    with pytest.raises(ModelError, match="has no dense FFN"):
        load(tmp_path / "packed", like=mixture("qwen2_moe"))


@pytest.mark.parametrize("name", ["mixtral", "converted"])
def test_a_model_with_fewer_experts_comes_back(name: str, tmp_path: Path) -> None:
    """A chain: quantised, then experts, and of the stock model a block, dropped."""
    model = quantised(name)
    experts = [block.mlp.experts for block in describe(model).blocks if block.mlp is not None]
    assert experts[0] is not None and experts[1] is not None
    experts[1].keep([2, 0])
    if name == "mixtral":
        describe(model).remove([0])
    save(model, tmp_path / "packed")
    again = load(tmp_path / "packed")
    assert torch.equal(output(model, batches(name)[0]), output(again, batches(name)[0]))


def test_another_process_opens_it(tmp_path: Path) -> None:
    model = quantised("mixtral")
    save(model, tmp_path / "packed")
    ids = torch.arange(3, 15).view(1, 12)
    with torch.no_grad():
        wanted = float(model(ids, labels=ids).loss)
    code = (
        "import sys, torch\n"
        "from sparsebench.models import load\n"
        "ids = torch.arange(3, 15).view(1, 12)\n"
        "with torch.no_grad():\n"
        "    print(float(load(sys.argv[1])(ids, labels=ids).loss))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "packed")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[-1]) == pytest.approx(wanted, abs=1e-5)


def test_the_file_is_as_large_as_stated(tmp_path: Path) -> None:
    """Within 2 %, of a model that is not tiny."""
    model = stock("Mixtral", num_local_experts=4, hidden_size=256, intermediate_size=256)
    quantise(model, CONFIG)
    save(model, tmp_path / "packed")
    stated = stored_bytes(model)
    size = (tmp_path / "packed" / WEIGHTS).stat().st_size
    assert stated <= size < 1.02 * stated


def test_transformers_own_saving_is_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sparsebench\.models\.save"):
        quantised("mixtral").save_pretrained(tmp_path / "stock")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(quantised("mixtral"), tmp_path / "packed")
    return tmp_path / "packed"


def test_a_folder_without_its_recipe(folder: Path) -> None:
    (folder / RECIPE).unlink()
    with pytest.raises(ModelError, match="does not say of which class"):
        load(folder)


def test_tensors_that_are_missing(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = "model.layers.0.mlp.experts.down_proj.scale"
    save_file({key: value for key, value in tensors.items() if key != name}, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"there is no scale of model\.layers\.0\.mlp\.experts\.down_proj"):
        load(folder)
