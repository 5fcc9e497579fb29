"""Configurations of AdapterHub's library `adapters` and those here that mean the same function.

There a bottleneck reads and adds by switches; which function that is depends on whether blocks normalise sums (BERT) or
inputs (ViT). Only combinations that are a function of ours are read, and only such are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...anatomy import Anatomy
from ...errors import ModelError
from ..config import AdapterConfig, CombinedConfig
from ..kinds.bottleneck import BottleneckConfig, Placement
from ..kinds.lora import LoRAConfig
from ..kinds.prefix import PrefixConfig
from ..kinds.shared_parallel import StreamConfig

ACTIVATIONS = {"swish": "silu", "linear": "identity"}
ACTIVATIONS |= {name: name for name in ("relu", "gelu", "silu", "tanh", "quick_gelu")}
_REFUSED = ("use_gating", "phm_layer", "inv_adapter", "invertible_adapter", "stochastic_depth", "use_dora", "vera_d")
IN_BLOCK = ("mh_adapter", "output_adapter", "is_parallel", "original_ln_before", "original_ln_after")
IN_BLOCK += ("residual_before_ln",)
_DEFAULTS = {"original_ln_before": False, "original_ln_after": True, "residual_before_ln": True, "is_parallel": False}
# Values of the first five of IN_BLOCK.
HOULSBY = (True, True, False, False, True)
SEQUENTIAL = (False, True, False, False, True)
AFTER_NORM = (False, True, False, True, True)
PARALLEL = (False, True, True, False, True)


def read_config(config: Any, anatomy: Anatomy, options: Mapping[str, Any]) -> AdapterConfig:
    """The configuration here that means what one of `adapters` means for a model.

    Args:
        config: the field "config" of a file.
        anatomy: the model.
        options: `train_head`.

    Raises:
        ModelError: no kind of ours is the same function.
    """
    if not isinstance(config, Mapping):
        raise ModelError(f"config={config!r} is a name of settings, which the file does not say")
    kind = config.get("architecture")
    if kind == "union":
        if any(part.get("architecture") == "union" for part in config["configs"]):
            raise ModelError("a union within a union has no counterpart here")
        parts = tuple(read_config(part, anatomy, options) for part in config["configs"])
        return CombinedConfig(parts=parts, **options)
    for field in _REFUSED:
        if config.get(field):
            raise ModelError(f"{field}={config[field]!r} has no counterpart here")
    shared = dict(options) | {"blocks": _blocks(config.get("leave_out") or [], len(anatomy.blocks))}
    if kind == "prefix_tuning":
        return _prefix(config, shared)
    if kind == "lora":
        return _lora(config, shared)
    if kind is not None:
        raise ModelError(f"architecture={kind!r} has no counterpart here")
    return _bottleneck(config, anatomy, shared)


def _blocks(left_out: list[int], number: int) -> Any:
    if not left_out:
        return "all"
    if sorted(left_out) != list(range(len(left_out))) or len(left_out) >= number:
        raise ModelError(
            f"leave_out={left_out!r}: here the last blocks have adapters, so that the first ones are left out"
        )
    return number - len(left_out)


def _prefix(config: Mapping[str, Any], shared: dict[str, Any]) -> AdapterConfig:
    _check_dropout(config)
    if config.get("flat"):
        return PrefixConfig(length=config["prefix_length"], **shared)
    if config.get("non_linearity", "tanh") != "tanh":
        raise ModelError(f"non_linearity={config['non_linearity']!r} of a prefix has no counterpart here: tanh has")
    return PrefixConfig(length=config["prefix_length"], bottleneck=config["bottleneck_size"], **shared)


def _lora(config: Mapping[str, Any], shared: dict[str, Any]) -> AdapterConfig:
    if config.get("composition_mode", "add") != "add":
        raise ModelError(f"composition_mode={config['composition_mode']!r} has no counterpart here")
    targets: list[str] = []
    if config.get("selfattn_lora"):
        targets += config["attn_matrices"]
    if config.get("intermediate_lora"):
        targets.append("up")
    if config.get("output_lora"):
        targets.append("down")
    dropout = config.get("dropout") or 0.0
    return LoRAConfig(r=config["r"], alpha=config["alpha"], dropout=dropout, targets=tuple(targets), **shared)


def _check_dropout(config: Mapping[str, Any]) -> None:
    if config.get("dropout"):
        raise ModelError(f"dropout={config['dropout']!r} acts at another place in training than here: set it to 0")


def _bottleneck(config: Mapping[str, Any], anatomy: Anatomy, shared: dict[str, Any]) -> AdapterConfig:
    _check_dropout(config)
    activation = ACTIVATIONS.get(config["non_linearity"])
    if activation is None:
        raise ModelError(f"non_linearity={config['non_linearity']!r} has no counterpart here")
    switches = _DEFAULTS | dict(config)
    where = tuple(switches[field] for field in IN_BLOCK[:5])
    residual = switches["residual_before_ln"]
    sums_are_normed = post_norm(anatomy)
    options = shared | {"r": _width(config["reduction_factor"], anatomy), "activation": activation}
    scale = config.get("scaling", 1.0)
    if not sums_are_normed and where == PARALLEL:
        return _stream(config, options, scale, "ffn")
    if not sums_are_normed and (where, residual) in ((AFTER_NORM, True), ((*AFTER_NORM[:4], False), False)):
        return _stream(config, options, scale, "after")
    placements: dict[Any, Placement] = {HOULSBY: "houlsby", SEQUENTIAL: "sequential"}
    if sums_are_normed:
        placements |= {PARALLEL: "parallel"}
        if residual is True:
            placements |= {AFTER_NORM: "pfeiffer"}
    if where not in placements or scale == "channel":
        named = ", ".join(f"{field}={switches[field]!r}" for field in IN_BLOCK)
        raise ModelError(f"{named}, scaling={scale!r}: no bottleneck here is this function")
    return BottleneckConfig(placement=placements[where], scale=scale, norm=_norm(config, scale), **options)


def _norm(config: Mapping[str, Any], scale: Any) -> Any:
    before = config.get("ln_before")
    after = config.get("ln_after")
    if not after:
        return "in" if before else "none"
    if before or scale != 1 or config.get("adapter_residual_before_ln"):
        raise ModelError("ln_after=True with ln_before, a scale or the residual before it has no counterpart here")
    return "out"


def _stream(config: Mapping[str, Any], options: dict[str, Any], scale: Any, placement: Any) -> AdapterConfig:
    if scale == "learned" or config.get("ln_before") or config.get("ln_after"):
        raise ModelError("scaling='learned', ln_before and ln_after of adapters on the residual stream: none are here")
    return StreamConfig(placement=placement, scale=scale, **options)


def post_norm(anatomy: Anatomy) -> bool:
    """Whether the blocks of a model normalise sums, as BERT does."""
    return all(block.post_norm for block in anatomy.blocks)


def _width(reduction: Any, anatomy: Anatomy) -> int:
    """The width of the bottlenecks, which is one for all blocks."""
    factors = [reduction]
    if isinstance(reduction, Mapping):
        factors = [reduction.get(str(block.index), reduction.get("default")) for block in anatomy.blocks]
    if any(not factor for factor in factors):
        raise ModelError(f"reduction_factor={reduction!r} does not say the width for each block")
    widths = {max(1, int(anatomy.width // factor)) for factor in factors}
    if len(widths) > 1:
        raise ModelError(f"reduction_factor={reduction!r} gives bottlenecks of different widths: here they have one")
    return widths.pop()
