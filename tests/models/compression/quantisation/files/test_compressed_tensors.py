"""The `compressed-tensors` format: names, layout, configuration; and read by that package where it is installed."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, export_compressed_tensors, quantise
from sparsebench.models.compression.quantisation.files.compressed_tensors import quantization_config, readers_of
from sparsebench.models.compression.quantisation.packed.packing import unpack
from sparsebench.models.errors import ModelError
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

from ....agreement import agree
from ....stock_mixtures import stock
from ...slimming.mixtures import batches, mixture
from ..models import output

PER_EXPERT = ["mixtral", "qwen2_moe", "deepseek_v3"]
"""Mixtures whose checkpoints have a matrix for each expert."""
GRIDS = [Grid(bits=4, group_size=16), Grid(bits=3, group_size=8), Grid(bits=8, group_size=None)]
ZEROS = Grid(bits=3, group_size=8, symmetric=False)
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("compressed_tensors") is None, reason="needs the package compressed-tensors (0.19)"
)


def exported(name: str, grid: Grid, folder: Path, *parts: Any) -> tuple[Any, dict[str, Tensor], dict[str, Any]]:
    """A quantised model, the tensors that were written, and what the configuration says of them."""
    model = mixture(name)
    quantise(model, QuantiseConfig(method="rtn", grid=grid, parts=parts or ("experts",)))
    stated = export_compressed_tensors(model, folder)
    tensors = load_file(folder / "model.safetensors")
    assert stated.bytes == sum(tensor.nbytes for tensor in tensors.values())
    return model, tensors, json.loads((folder / "config.json").read_text())["quantization_config"]


def read(tensors: dict[str, Tensor], stem: str, grid: Grid) -> Tensor:
    """A matrix by the format's own rules: signed integers, zero points packed down the rows."""
    rows, columns = tensors[f"{stem}.weight_shape"].tolist()
    offset = 2 ** (grid.bits - 1)
    codes = unpack(tensors[f"{stem}.weight_packed"], grid.bits, columns).int() - offset
    scale = tensors[f"{stem}.weight_scale"]
    zero = torch.zeros_like(scale)
    if not grid.symmetric:
        packed = tensors[f"{stem}.weight_zero_point"].T.contiguous()
        zero = (unpack(packed, grid.bits, rows).int() - offset).T
    size = columns // scale.shape[1]
    return (codes - zero.repeat_interleave(size, 1)) * scale.repeat_interleave(size, 1)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_each_expert_has_matrices_of_its_own_under_the_names_of_the_checkpoint(grid: Grid, tmp_path: Path) -> None:
    model, tensors, _ = exported("mixtral", grid, tmp_path / "out")
    for layer in range(2):
        experts = model.model.layers[layer].mlp.experts
        for expert in range(4):
            gate, up = (experts.gate_up_proj[expert] + 0).chunk(2)
            stem = f"model.layers.{layer}.block_sparse_moe.experts.{expert}"
            torch.testing.assert_close(read(tensors, f"{stem}.w1", grid), gate)
            torch.testing.assert_close(read(tensors, f"{stem}.w3", grid), up)
            torch.testing.assert_close(read(tensors, f"{stem}.w2", grid), experts.down_proj[expert] + 0)
    assert tensors["model.layers.0.block_sparse_moe.gate.weight"].shape == (4, 32)
    assert not any("experts" in name and name.endswith(".weight") for name in tensors)


def test_the_configuration_names_the_grid_and_what_stays_dense(tmp_path: Path) -> None:
    _, tensors, config = exported("mixtral", GRIDS[0], tmp_path / "out", "experts", "attention")
    assert config["quant_method"] == "compressed-tensors" and config["format"] == "pack-quantized"
    weights = config["config_groups"]["group_0"]["weights"]
    assert (weights["num_bits"], weights["group_size"], weights["strategy"]) == (4, 16, "group")
    assert weights["symmetric"] is True and weights["type"] == "int"
    ignored = set(config["ignore"])
    assert {"lm_head", "model.layers.0.block_sparse_moe.gate", "model.layers.0.mlp.gate"} <= ignored
    assert "model.layers.0.self_attn.q_proj" not in ignored
    assert "model.layers.0.self_attn.q_proj.weight_packed" in tensors
    assert quantization_config(GRIDS[2], [])["config_groups"]["group_0"]["weights"]["strategy"] == "channel"


@pytest.mark.parametrize(
    ("name", "grid", "message"),
    [
        ("gpt_oss", GRIDS[0], "lies transposed"),
        ("granite", GRIDS[0], "holds experts in one tensor"),
        ("converted", GRIDS[0], r"no stock model .* by moe\.export before it is quantised"),
        ("vit", GRIDS[0], "no stock model"),
        ("mixtral", Grid(bits=4, group_size=20), "groups of 20 do not divide"),
        ("mixtral", None, "no packed weights"),
        (
            "mixtral",
            ZEROS,
            "gate_up_proj: neither transformers with compressed-tensors nor vLLM reads zero points of experts; "
            r"quantise with Grid\(symmetric=True\)",
        ),
    ],
)
def test_what_the_format_cannot_say_is_refused(name: str, grid: Grid | None, message: str, tmp_path: Path) -> None:
    model = mixture(name)
    if grid is not None:
        quantise(model, QuantiseConfig(method="rtn", grid=grid))
    with pytest.raises(ModelError, match=message):
        export_compressed_tensors(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_tokenizer_goes_along(tmp_path: Path) -> None:
    model: Any = mixture("mixtral")
    quantise(model, QuantiseConfig(method="rtn", grid=GRIDS[0]))
    tokenizer = byte_tokenizer()
    export_compressed_tensors(model, tmp_path / "out", tokenizer=tokenizer)
    assert type(tokenizer).from_pretrained(tmp_path / "out")("ab")["input_ids"] == tokenizer("ab")["input_ids"]


def test_a_folder_that_is_not_empty_and_two_grids_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model: Any = mixture("mixtral")
    quantise(model, QuantiseConfig(method="rtn", grid=GRIDS[0]))
    with pytest.raises(ModelError, match="not an empty folder"):
        export_compressed_tensors(model, tmp_path)
    other: Any = mixture("mixtral")
    quantise(other, QuantiseConfig(method="rtn", grid=GRIDS[2]))
    model.model.layers[0] = other.model.layers[0]
    with pytest.raises(ModelError, match="2 different grids"):
        export_compressed_tensors(model, tmp_path / "out")


@needs_package
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PER_EXPERT)
@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[2]], ids=str)
def test_transformers_reads_it_with_the_package(name: str, grid: Grid, tmp_path: Path) -> None:
    """Symmetric grids: of experts with zero points transformers 5.24 does not read the zero points."""
    from transformers import AutoModelForCausalLM, CompressedTensorsConfig

    model, _, _ = exported(name, grid, tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", quantization_config=CompressedTensorsConfig(dequantize=True), dtype=torch.float32
    )
    agree(output(again, batches(name)[0]), output(model, batches(name)[0]), "logits", within=4e-6)


@needs_package
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_package_reads_each_matrix(grid: Grid, tmp_path: Path) -> None:
    from compressed_tensors.compressors import BaseCompressor  # pyright: ignore[reportMissingImports]
    from compressed_tensors.quantization import QuantizationScheme  # pyright: ignore[reportMissingImports]

    _, tensors, config = exported("mixtral", grid, tmp_path / "out")
    scheme = QuantizationScheme(**config["config_groups"]["group_0"])
    reader = BaseCompressor.get_value_from_registry("pack-quantized")
    stem = "model.layers.1.block_sparse_moe.experts.2.w2"
    own = {name.removeprefix(f"{stem}."): value for name, value in tensors.items() if name.startswith(stem)}
    agree(reader.decompress(own, scheme)["weight"], read(tensors, stem, grid), "tensors", within=1e-6)


def test_zero_points_of_other_parts(tmp_path: Path) -> None:
    model, tensors, config = exported("mixtral", ZEROS, tmp_path / "out", "attention")
    for layer in range(2):
        for name in ("q_proj", "o_proj"):
            found = read(tensors, f"model.layers.{layer}.self_attn.{name}", ZEROS)
            attention = model.model.layers[layer].self_attn
            torch.testing.assert_close(found, getattr(attention, name).weight + 0)
    assert config["config_groups"]["group_0"]["weights"]["symmetric"] is False


@pytest.mark.parametrize(
    ("grid", "reason"),
    [
        (Grid(bits=4, group_size=128), None),
        (Grid(bits=8, group_size=None), None),
        (Grid(bits=3, group_size=64), "takes 4 and 8 bits in most versions, not 3"),
        (
            Grid(bits=5, group_size=16),
            "takes 4 and 8 bits in most versions, not 5; groups of 32, 64, 128 or whole rows, not of 16",
        ),
    ],
    ids=str,
)
def test_who_reads_a_grid_is_said(grid: Grid, reason: str | None) -> None:
    assert readers_of(grid) == {"transformers with compressed-tensors": None, "vLLM": reason}


def test_a_dense_model_with_tied_weights(tmp_path: Path) -> None:
    model = stock("Llama", tie_word_embeddings=True)
    quantise(model, QuantiseConfig(method="rtn", grid=GRIDS[0], parts=("ffn",)))
    found = export_compressed_tensors(model, tmp_path / "out")
    assert found.readers["vLLM"] == "takes groups of 32, 64, 128 or whole rows, not of 16"
    names = load_file(tmp_path / "out" / "model.safetensors").keys()
    assert "lm_head.weight" not in names and "model.layers.0.mlp.up_proj.weight_packed" in names
    assert "lm_head" in json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]["ignore"]
