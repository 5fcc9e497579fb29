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

_ACTIVATIONS = {"swish": "silu", "linear": "identity"}
_ACTIVATIONS |= {name: name for name in ("relu", "gelu", "silu", "tanh", "quick_gelu")}
_REFUSED = ("use_gating", "phm_layer", "inv_adapter", "invertible_adapter", "stochastic_depth", "use_dora", "vera_d")
_IN_BLOCK = ("mh_adapter", "output_adapter", "is_parallel", "original_ln_before", "original_ln_after")
_IN_BLOCK += ("residual_before_ln",)
_DEFAULTS = {"original_ln_before": False, "original_ln_after": True, "residual_before_ln": True, "is_parallel": False}
_INNER_FIRST = (LoRAConfig, BottleneckConfig, PrefixConfig, StreamConfig)
_HOULSBY = (True, True, False, False, True)
_SEQUENTIAL = (False, True, False, False, True)
_AFTER_NORM = (False, True, False, True, True)
_PARALLEL = (False, True, True, False, True)
_ATTENTION = ("q", "k", "v")


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
        parts = [read_config(part, anatomy, options) for part in config["configs"]]
        # What lies inside comes first, for the paths that lead to it.
        parts.sort(key=lambda part: _INNER_FIRST.index(type(part)))
        return CombinedConfig(parts=tuple(parts), **options)
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
    activation = _ACTIVATIONS.get(config["non_linearity"])
    if activation is None:
        raise ModelError(f"non_linearity={config['non_linearity']!r} has no counterpart here")
    switches = _DEFAULTS | dict(config)
    where = tuple(switches[field] for field in _IN_BLOCK[:5])
    residual = switches["residual_before_ln"]
    post_norm = _post_norm(anatomy)
    options = shared | {"r": _width(config["reduction_factor"], anatomy), "activation": activation}
    scale = config.get("scaling", 1.0)
    if not post_norm and where == _PARALLEL:
        return _stream(config, options, scale, "ffn")
    if not post_norm and (where, residual) in ((_AFTER_NORM, True), ((*_AFTER_NORM[:4], False), False)):
        return _stream(config, options, scale, "after")
    placements: dict[Any, Placement] = {_HOULSBY: "houlsby", _SEQUENTIAL: "sequential"}
    if post_norm:
        placements |= {_PARALLEL: "parallel"}
        if residual is True:
            placements |= {_AFTER_NORM: "pfeiffer"}
    if where not in placements or scale == "channel":
        named = ", ".join(f"{field}={switches[field]!r}" for field in _IN_BLOCK)
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


def _post_norm(anatomy: Anatomy) -> bool:
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


def written_config(config: AdapterConfig, anatomy: Anatomy) -> dict[str, Any]:
    """The fields with which `adapters` computes what a configuration of ours means for a model.

    Args:
        config: of a set on the model.
        anatomy: the model.

    Raises:
        ModelError: `adapters` has no such function.
    """
    if isinstance(config, CombinedConfig):
        return {"architecture": "union", "configs": [written_config(part, anatomy) for part in config.parts]}
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
    where = _switches(config, _post_norm(anatomy))
    norm = config.norm if isinstance(config, BottleneckConfig) else "none"
    names = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
    scale = config.scale if isinstance(config.scale, str) else float(config.scale)
    return dict(zip(_IN_BLOCK, (*where, True), strict=True)) | {
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


def _switches(config: BottleneckConfig | StreamConfig, post_norm: bool) -> tuple[bool, ...]:
    places: dict[str, tuple[bool, ...]] = {"houlsby": _HOULSBY, "sequential": _SEQUENTIAL, "pfeiffer": _SEQUENTIAL}
    if isinstance(config, StreamConfig):
        places = {"ffn": _PARALLEL, "after": _AFTER_NORM}
    elif post_norm:
        places |= {"parallel": _PARALLEL, "pfeiffer": _AFTER_NORM}
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
