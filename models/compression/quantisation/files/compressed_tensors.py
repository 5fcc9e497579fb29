"""Packed models as folders in the `compressed-tensors` format ("pack-quantized"), which transformers and vLLM read

What each of the two takes is in `READERS`, and in what an export returns. Written from the format alone, without the
package. Names and matrices are those of the stock checkpoint of the
architecture, expert by expert, whatever transformers fuses in memory.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import ModelError
from ....hub.atomic_folder import written
from ....hub.models import ChangedModel
from ....hub.own_folders import save_generation_config
from ..grid import Grid
from ..packed.packed_tensor import PackedTensor
from ..packed.packing import pack
from .part import packed_weights

# Shapes: N experts, O rows, G groups.

WEIGHTS = "model.safetensors"
TRANSFORMERS = "transformers with compressed-tensors"
VLLM = "vLLM"
READERS = (TRANSFORMERS, VLLM)
"""transformers 5.17 and 5.24 with compressed-tensors 0.19 and 0.20 read every grid, but for zero points of experts. So
does vLLM, by its source, at 4 and 8 bits and in groups that its Marlin kernels have."""
VLLM_BITS = (4, 8)
VLLM_GROUPS = (32, 64, 128, None)


@dataclass(frozen=True)
class CompressedTensorsExport:
    """The `bytes` of all tensors that were written; of each of `READERS` None where it takes the grid, or why not."""

    bytes: int
    readers: Mapping[str, str | None]


def export_compressed_tensors(model: nn.Module, path: str | Path, *, tokenizer: Any = None) -> CompressedTensorsExport:
    """Write a quantised stock model of transformers to a new folder, in the format `compressed-tensors`.

    Args:
        model: a stock model with packed weights, all on one grid.
        path: a folder that is not there, or is empty.
        tokenizer: is saved along with the model if given.

    Returns:
        The bytes of its tensors, and which engines read it.

    Raises:
        ModelError: a folder that is not empty, a model without packed weights or of another library, packed weights on
            several grids, groups that do not divide the columns (no reader of the format takes a shorter last group),
            experts with zero points (nor these), and checkpoints that keep experts in one matrix (GPT-OSS). Nothing is
            written.

    Example: `export_compressed_tensors(mixtral, "mixtral-4-bits").readers["vLLM"]` is None.
    """
    packed = dict(packed_weights(model))
    grid = _one_grid(packed, model)
    tensors, ignored = checkpoint_tensors(model, packed)
    config: Any = copy.deepcopy(model.config)  # pyright: ignore[reportCallIssue, reportArgumentType]
    config.quantization_config = quantization_config(grid, ignored)
    with written(path) as folder:
        _write(model, folder, config, tensors)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return CompressedTensorsExport(sum(tensor.nbytes for tensor in tensors.values()), readers_of(grid))


def readers_of(grid: Grid) -> dict[str, str | None]:
    """Each of `READERS` with None where it reads weights on this grid, else with the reason why not.

    Experts with zero points, which neither reads, are refused before.
    """
    found: list[str] = []
    if grid.bits not in VLLM_BITS:
        found.append(f"4 and 8 bits in most versions, not {grid.bits}")
    if grid.group_size not in VLLM_GROUPS:
        found.append(f"groups of 32, 64, 128 or whole rows, not of {grid.group_size}")
    return {TRANSFORMERS: None, VLLM: f"takes {'; '.join(found)}" if found else None}


def _one_grid(packed: Mapping[str, PackedTensor], model: nn.Module) -> Grid:
    if not packed:
        raise ModelError(f"{type(model).__name__} has no packed weights: quantise it first")
    if isinstance(model, ChangedModel):
        raise ModelError(
            f"{type(model).__name__} is no stock model of transformers: write the mixture by moe.export before it is "
            "quantised (engine='compressed-tensors'), load that, quantise it and export again; sparsebench.models.save "
            "writes our own format"
        )
    if not type(model).__module__.startswith("transformers."):
        raise ModelError(
            f"{type(model).__name__} is no stock model of transformers: sparsebench.models.save writes our own format"
        )
    grids = {value.grid for value in packed.values()}
    if len(grids) > 1:
        raise ModelError(f"weights lie on {len(grids)} different grids: quantise all of them to one for this format")
    grid = grids.pop()
    for name, value in packed.items():
        if not grid.symmetric and value.dim() == 3:
            raise ModelError(
                f"{name}: neither {TRANSFORMERS} nor {VLLM} reads zero points of experts; quantise with "
                "Grid(symmetric=True), or use sparsebench.models.save"
            )
        if grid.group_size is not None and value.columns % grid.group_size:
            raise ModelError(
                f"{name} has {value.columns} columns, which groups of {grid.group_size} do not divide: readers of "
                "compressed-tensors take whole groups only; quantise with another group_size, or use "
                "sparsebench.models.save"
            )
    return grid


def quantization_config(grid: Grid, ignored: list[str]) -> dict[str, Any]:
    """What `config.json` says of the weights; `ignored` are the linear layers that stay dense."""
    weights = {
        "num_bits": grid.bits,
        "type": "int",
        "symmetric": grid.symmetric,
        "strategy": "channel" if grid.group_size is None else "group",
        "group_size": grid.group_size,
        "dynamic": False,
        "actorder": None,
    }
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group | {"format": "pack-quantized"}},
        "ignore": ignored,
    }


def checkpoint_tensors(model: Any, packed: Mapping[str, PackedTensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a checkpoint by name, and the names of the linear layers in it that stay dense.

    What transformers fuses is taken apart by its own conversion, which knows the names. It gets row numbers in the
    place of packed weights, and so says which rows of which expert each matrix of the checkpoint consists of.
    """
    from transformers.core_model_loading import revert_weight_conversion

    state: dict[str, Tensor] = {}
    rows: dict[int, PackedTensor] = {}
    start = 0
    for name, value in model.state_dict().items():
        state[name] = value
        if name in packed:
            state[name] = _numbered(packed[name], name, start)
            rows[start] = packed[name]
            start += state[name].numel()
    tensors: dict[str, Tensor] = {}
    for name, value in revert_weight_conversion(model, _untied(model, state)).items():
        if value.dtype == torch.int64 and value.dim() > 1 and value.shape[-1] == 1:
            tensors |= _packed_matrix(name, value, rows)
        else:
            tensors[name] = value.detach().contiguous()
    return tensors, sorted(_dense_linears(model, tensors))


def _numbered(value: PackedTensor, name: str, start: int) -> Tensor:
    """Row numbers in the shape of a weight of one column, (O, 1) or (N, O, 1)."""
    if value.transposed:
        raise ModelError(
            f"{name} lies transposed in its checkpoint, which compressed-tensors cannot say: use "
            "sparsebench.models.save"
        )
    shape = (*value.shape[:-1], 1)
    return torch.arange(start, start + value.shape[:-1].numel(), dtype=torch.int64).view(shape)


def _untied(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tied weights once, as checkpoints hold them."""
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: value for name, value in state.items() if name not in tied}


def _packed_matrix(name: str, number_O1: Tensor, rows: Mapping[int, PackedTensor]) -> dict[str, Tensor]:
    number_O = number_O1.flatten()
    first = int(number_O[0])
    neighbours = torch.arange(first, first + len(number_O))
    if number_O1.dim() != 2 or not name.endswith(".weight") or not torch.equal(number_O, neighbours):
        raise ModelError(
            f"{name} holds experts in one tensor of its checkpoint, while compressed-tensors wants those of each: "
            "use sparsebench.models.save"
        )
    start = max(begin for begin in rows if begin <= first)
    value = rows[start]
    own_O = number_O - start

    def taken(part: Tensor) -> Tensor:
        return part.flatten(0, -2)[own_O].contiguous()

    stem = name.removesuffix("weight")
    found = {
        f"{stem}weight_packed": taken(value.words),
        f"{stem}weight_scale": taken(value.scale),
        f"{stem}weight_shape": torch.tensor([len(own_O), value.columns], dtype=torch.int64),
    }
    if value.zero is not None:
        # Zero points are packed down the rows: (O, G) becomes (words of O codes, G).
        zero_GO = taken(value.zero).T
        found[f"{stem}weight_zero_point"] = pack(zero_GO, value.grid.bits).T.contiguous()
    return found


def _dense_linears(model: nn.Module, tensors: Mapping[str, Tensor]) -> set[str]:
    """Names, in the checkpoint and in memory, of what has a matrix of its own that stays dense; "lm_head" even if tied.

    Embeddings are no linear layers, but to name them does no harm.
    """
    names = {name.removesuffix(".weight") for name, value in tensors.items() if name.endswith(".weight")}
    found = {name for name in names if tensors[f"{name}.weight"].dim() == 2}
    for name, module in model.named_modules():
        weight = module._parameters.get("weight")
        if weight is not None and weight.dim() == 2 and not isinstance(weight, PackedTensor):
            found.add(name)
    return found


def _write(model: Any, folder: Path, config: Any, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    save_generation_config(model, folder)
