"""The layouts that are known, and by what each is told from the others: nothing of a model is imported for that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

Config = Mapping[str, Any]
Fits = Callable[[Config, Collection[str]], bool]

V2_MARKS = ("scale_factor", "use_attn_moe", "intermediate_size_residual", "add_rescale_bias")
"""Keys of LLaMA-MoE v2 that a stock Mixtral, which it calls itself, does not have."""
COUNTS = {"mixtral": "num_local_experts", "qwen2_moe": "num_experts"}
"""Model types of trimmed mixtures, and the key of each that becomes a list."""
OD_CONV_MARK = ".attention.channel_fc.weight"
"""The end of a name in every dynamic convolution."""
TUNED_MARK = "classification_heads.dense.weight"
VIT_POSITIONS = "Transformer/posembed_input/pos_embedding"


class Layout(NamedTuple):
    """`title`: the model and who published it. `fits(config, names)`: whether a checkpoint is of this layout."""

    title: str
    fits: Fits


def _of_type(*types: str) -> Fits:
    return lambda config, names: config.get("model_type") in types


def _is_v2(config: Config, names: Collection[str]) -> bool:
    return config.get("model_type") == "mixtral" and any(key in config for key in V2_MARKS)


def _is_trimmed(config: Config, names: Collection[str]) -> bool:
    key = COUNTS.get(config.get("model_type", ""))
    return key is not None and (isinstance(config.get(key), list) or "layer_experts_idx" in config)


def _is_vit(config: Config, names: Collection[str]) -> bool:
    return "embedding/kernel" in names and VIT_POSITIONS in names


def _has_end(mark: str) -> Fits:
    return lambda config, names: any(name.endswith(mark) for name in names)


def _has_begin(mark: str) -> Fits:
    return lambda config, names: any(name.removeprefix("module.").startswith(mark) for name in names)


LAYOUTS = {
    "llama_moe_v1": Layout("LLaMA-MoE v1, pjlab-sys4nlp/llama-moe", _of_type("llama_moe")),
    "llama_moe_v1_residual": Layout(
        "LLaMA-MoE v1 with residual blocks, pjlab-sys4nlp/llama-moe", _of_type("llama_moe_residual")
    ),
    "llama_moe_v2": Layout("LLaMA-MoE v2, OpenSparseLLMs/LLaMA-MoE-v2", _is_v2),
    "molm": Layout("MoLM, IBM/ModuleFormer and Spico197/MoE-SFT", _of_type("moduleformer")),
    "deepseek_moe": Layout(
        "DeepSeekMoE, deepseek-ai/DeepSeek-MoE, also trimmed by CASE-Lab-UMD/Unified-MoE-Compression",
        _of_type("deepseek"),
    ),
    "expert_drop": Layout("Expert and Layer Drop, CASE-Lab-UMD/Unified-MoE-Compression", _is_trimmed),
    "graphsgpt": Layout("GraphsGPT, A4Bio/GraphsGPT", _of_type("graphs_gpt", "graphs_gpt_conditioned")),
    "graphsgpt_tuned": Layout("GraphsGPT tuned on a task of MoleculeNet, A4Bio/GraphsGPT", _has_end(TUNED_MARK)),
    "od_conv": Layout("ODConv, OSVAI/ODConv", _has_end(OD_CONV_MARK)),
    "kernel_warehouse": Layout(
        "KernelWarehouse, OSVAI/KernelWarehouse, recognised and not read", _has_begin("warehouse_manager.weights.")
    ),
    "vit_npz": Layout("ViT and AugReg in .npz files, google-research/vision_transformer", _is_vit),
}
"""By name, which is that of the file here that builds the model. No checkpoint fits two."""


def recognise(config: Config, names: Collection[str] = ()) -> str | None:
    """The name of the layout of a checkpoint.

    Args:
        config: what its `config.json` says; empty without one.
        names: of its tensors, where they are known: those in a file without a `config.json` are told by them.

    Returns:
        The name; None where no layout fits.
    """
    return next((name for name, layout in LAYOUTS.items() if layout.fits(config, names)), None)
