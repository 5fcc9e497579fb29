"""Our own files: the same outputs to the bit, bytes as stated, no dense weight on the way, and bad folders."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.quantisation import (
    Grid,
    PackedTensor,
    QuantiseConfig,
    load_packed,
    open_packed,
    quantise,
    save_packed,
)
from sparsebench.models.compression.quantisation.files.files import RECIPE, WEIGHTS
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError

from ....stock_mixtures import stock
from ..models import FUSED, batches, mixture, output

TRANSFORMERS = [name for name in FUSED if name not in ("vit", "graphsgpt")]
CONFIG = QuantiseConfig(method="rtn", grid=Grid(bits=3, group_size=16, symmetric=False))


def quantised(name: str) -> Any:
    model = mixture(name)
    quantise(model, CONFIG)
    return model


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_reloaded_model_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    """B14: and the stated bytes are those of all saved tensors, which is about the size of the file."""
    model = quantised(name)
    stated = save_packed(model, tmp_path / "packed")
    again = open_packed(tmp_path / "packed")
    for batch in batches(name):
        assert torch.equal(output(model, batch), output(again, batch))
    assert type(again) is type(model) and not again.training
    assert stated == sum(tensor.nbytes for tensor in load_file(tmp_path / "packed" / WEIGHTS).values())
    assert stored_bytes(model) <= stated <= stored_bytes(model) + 1024  # frequencies of positions, which are recomputed
    assert stored_bytes(again) == stored_bytes(model)


@pytest.mark.parametrize("name", ["vit", "graphsgpt"])
def test_other_models_load_into_one_of_their_kind(name: str, tmp_path: Path) -> None:
    model = quantised(name)
    save_packed(model, tmp_path / "packed")
    again = mixture(name)
    load_packed(again, tmp_path / "packed")
    assert any(isinstance(value, PackedTensor) for value in again.parameters())
    assert torch.equal(output(model, batches(name)[0]), output(again, batches(name)[0]))


def test_a_model_with_fewer_experts_and_layers_comes_back(tmp_path: Path) -> None:
    """A chain: quantised, then experts and a block dropped."""
    model = quantised("mixtral")
    for block in describe(model).blocks:
        assert block.mlp is not None and block.mlp.experts is not None
        block.mlp.experts.keep([3, 1])
    describe(model).remove([0])
    save_packed(model, tmp_path / "packed")
    again = open_packed(tmp_path / "packed")
    assert torch.equal(output(model, batches("mixtral")[0]), output(again, batches("mixtral")[0]))


def test_a_converted_model_with_fewer_experts_comes_back(tmp_path: Path) -> None:
    model = quantised("converted")
    experts = [block.mlp.experts for block in describe(model).blocks if block.mlp is not None]
    assert experts[0] is not None
    experts[0].keep([2, 0])
    save_packed(model, tmp_path / "packed")
    again = open_packed(tmp_path / "packed")
    assert torch.equal(output(model, batches("converted")[0]), output(again, batches("converted")[0]))


def test_another_process_opens_it(tmp_path: Path) -> None:
    model = quantised("mixtral")
    save_packed(model, tmp_path / "packed")
    ids = torch.arange(3, 15).view(1, 12)
    with torch.no_grad():
        wanted = float(model(ids, labels=ids).loss)
    code = (
        "import sys, torch\n"
        "from sparsebench.models.compression.quantisation import open_packed\n"
        "ids = torch.arange(3, 15).view(1, 12)\n"
        "with torch.no_grad():\n"
        "    print(float(open_packed(sys.argv[1])(ids, labels=ids).loss))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "packed")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[-1]) == pytest.approx(wanted, abs=1e-5)


def test_the_file_is_as_large_as_stated(tmp_path: Path) -> None:
    """Within 2 %, of a model that is not tiny."""
    model = stock("Mixtral", num_local_experts=4, hidden_size=256, intermediate_size=256)
    quantise(model, CONFIG)
    stated = save_packed(model, tmp_path / "packed")
    size = (tmp_path / "packed" / WEIGHTS).stat().st_size
    assert stated <= size < 1.02 * stated


def test_transformers_own_saving_is_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="save_packed"):
        quantised("mixtral").save_pretrained(tmp_path / "stock")


def test_nothing_is_written_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ModelError, match="not an empty folder"):
        save_packed(quantised("mixtral"), tmp_path / "full")
    with pytest.raises(ModelError, match="no packed weights"):
        save_packed(mixture("mixtral"), tmp_path / "dense")
    assert not (tmp_path / "dense").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_packed(quantised("mixtral"), tmp_path / "packed")
    return tmp_path / "packed"


def test_a_folder_that_is_not_whole(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged or cut short"):
        open_packed(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        open_packed(folder)
    (folder / RECIPE).write_text("{")
    with pytest.raises(ModelError, match="is damaged"):
        open_packed(folder)
    (folder / RECIPE).write_text(json.dumps({"format": 99}))
    with pytest.raises(ModelError, match="has format 99"):
        open_packed(folder)
    (folder / RECIPE).unlink()
    with pytest.raises(ModelError, match=f"has no {RECIPE}"):
        open_packed(folder)


def test_tensors_that_are_missing(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = "model.layers.0.mlp.experts.down_proj.scale"
    save_file({key: value for key, value in tensors.items() if key != name}, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"has no scale of model\.layers\.0\.mlp\.experts\.down_proj"):
        open_packed(folder)


def test_another_model_does_not_fit_and_stays_as_it_was(folder: Path) -> None:
    other = mixture("qwen2_moe")
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ModelError, match="does not fit the model"):
        load_packed(other, folder)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_a_model_that_no_file_builds(tmp_path: Path) -> None:
    save_packed(quantised("vit"), tmp_path / "packed")
    with pytest.raises(ModelError, match="load_packed"):
        open_packed(tmp_path / "packed")
