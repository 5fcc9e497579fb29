"""Configurations of ours as fields of AdapterHub's library `adapters`; see `adapterhub_config.py`."""

from __future__ import annotations

from typing import Any

from ...anatomy import Anatomy
from ...errors import ModelError
from ..config import AdapterConfig, CombinedConfig
from ..kinds.bottleneck import BottleneckConfig
from ..kinds.lora import LoRAConfig
from ..kinds.prefix import PrefixConfig
from ..kinds.shared_parallel import StreamConfig
from .adapterhub_config import ACTIVATIONS, AFTER_NORM, HOULSBY, IN_BLOCK, PARALLEL, SEQUENTIAL, post_norm

_ATTENTION = ("q", "k", "v")


def written_config(config: AdapterConfig, anatomy: Anatomy) -> dict[str, Any]:
    """The fields with which `adapters` computes what a configuration of ours means for a model.

    Args:
        config: of a set on the model.
        anatomy: the model.

    Raises:
        ModelError: `adapters` has no such function, or several parts are of one of its architectures.
    """
    if isinstance(config, CombinedConfig):
        return _written_union(config, anatomy)
    left_out: list[int] = []
    if config.blocks != "all":
        left_out = list(range(len(anatomy.blocks) - config.blocks))
    if isinstance(config, PrefixConfig):
        return _written_prefix(config) | {"leave_out": left_out}
    if isinstance(config, LoRAConfig):
        return _written_lora(config) | {"leave_out": left_out}
    if isinstance(config, BottleneckConfig | StreamConfig):
        return _written_bottleneck(config, anatomy) | {"leave_out": left_out}
    raise ModelError(f"{type(config).__name__} has no counterpart in AdapterHub's library")


def _written_union(config: CombinedConfig, anatomy: Anatomy) -> dict[str, Any]:
    if any(isinstance(part, CombinedConfig) for part in config.parts):
        raise ModelError("a CombinedConfig within another: AdapterHub's library has no union within a union")
    written = [written_config(part, anatomy) for part in config.parts]
    kinds = [fields.get("architecture", "bottleneck") for fields in written]
    twice = {kind for kind in kinds if kinds.count(kind) > 1}
    if twice:
        raise ModelError(
            f"several parts are {', '.join(sorted(twice))}: AdapterHub's library takes one of each architecture in a "
            "union; attach them as several sets, and save each"
        )
    return {"architecture": "union", "configs": written}


def _written_prefix(config: PrefixConfig) -> dict[str, Any]:
    fields = {"architecture": "prefix_tuning", "encoder_prefix": True, "cross_prefix": True, "use_gating": False}
    fields |= {"flat": config.bottleneck is None, "prefix_length": config.length, "dropout": 0.0}
    return fields | {"bottleneck_size": config.bottleneck or 512, "non_linearity": "tanh", "shared_gating": True}


def _written_lora(config: LoRAConfig) -> dict[str, Any]:
    attention = [target for target in _ATTENTION if target in config.targets]
    if set(config.targets) - {*_ATTENTION, "up", "down"}:
        raise ModelError(f"targets={config.targets!r}: AdapterHub's library has LoRA on q, k, v, up and down only")
    return {
        "architecture": "lora",
        "selfattn_lora": bool(attention),
        "attn_matrices": attention,
        "intermediate_lora": "up" in config.targets,
        "output_lora": "down" in config.targets,
        "r": config.r,
        "alpha": config.r if config.alpha is None else config.alpha,
        "dropout": config.dropout,
        "composition_mode": "add",
        "init_weights": "lora",
        "use_gating": False,
        "use_dora": False,
    }


def _written_bottleneck(config: BottleneckConfig | StreamConfig, anatomy: Anatomy) -> dict[str, Any]:
    _check_written(config)
    where = _switches(config, post_norm(anatomy))
    norm = config.norm if isinstance(config, BottleneckConfig) else "none"
    names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    scale = config.scale if isinstance(config.scale, str) else float(config.scale)
    return dict(zip(IN_BLOCK, (*where, True), strict=True)) | {
        "reduction_factor": _reduction(config.r, anatomy.width),
        "non_linearity": names[config.activation],
        "scaling": scale,
        "ln_before": norm == "in",
        "ln_after": norm == "out",
        "adapter_residual_before_ln": False,
        "cross_adapter": False,
        "dropout": 0.0,
        "init_weights": "bert",
        "inv_adapter": None,
        "inv_adapter_reduction_factor": None,
        "phm_layer": False,
        "use_gating": False,
        "stochastic_depth": 0.0,
    }


def _check_written(config: BottleneckConfig | StreamConfig) -> None:
    wrong: list[str] = []
    if not config.bias:
        wrong.append("bias=False")
    if config.dropout:
        wrong.append(f"dropout={config.dropout}")
    if isinstance(config, BottleneckConfig) and config.norm == "out" and config.scale != 1:
        wrong.append(f"norm='out' with scale={config.scale!r}")
    if wrong:
        raise ModelError(f"{', '.join(wrong)}: AdapterHub's library has no bottleneck like this")


def _switches(config: BottleneckConfig | StreamConfig, sums_are_normed: bool) -> tuple[bool, ...]:
    places: dict[str, tuple[bool, ...]] = {"houlsby": HOULSBY, "sequential": SEQUENTIAL, "pfeiffer": SEQUENTIAL}
    if isinstance(config, StreamConfig):
        places = {"ffn": PARALLEL, "after": AFTER_NORM}
    elif sums_are_normed:
        places |= {"parallel": PARALLEL, "pfeiffer": AFTER_NORM}
    if config.placement not in places:
        raise ModelError(
            f"{type(config).__name__}(placement={config.placement!r}) is no function of AdapterHub's library on this "
            f"model, where {', '.join(places)} are: in blocks that normalise their inputs it adapts the residual stream"
        )
    return places[config.placement]


def _reduction(r: int, width: int) -> float | int:
    """A factor that gives a width of r, rounded down."""
    if width % r == 0:
        return width // r
    return width / (r + 0.5)
