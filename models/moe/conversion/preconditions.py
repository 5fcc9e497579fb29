"""What must hold before a conversion: feed-forward layers that can be cut, and calibration data where they are needed.

Every check raises a `ModelError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ...anatomy import MLP, Anatomy, check_own_weight, linear_view
from ...calibration.ffn_samples import Calibration, calibrate
from ...errors import ModelError
from ..config import LOOK_AT_INPUTS, MoEConfig
from ..routing.kinds import router_class
from .dense_ffn import DenseFFN
from .verification import output_dropout


@dataclass(frozen=True)
class FFN:
    """A feed-forward layer of a model: the index of its block, and its place among all feed-forward layers.

    What the checks and the conversion need of it is read once; `dense` keeps the weights alive.
    """

    block: int
    place: int
    mlp: MLP

    @cached_property
    @torch.no_grad()
    def dense(self) -> DenseFFN:
        """Its matrices."""
        return DenseFFN.of(self.mlp)

    @cached_property
    def dropout(self) -> float | None:
        """See `output_dropout`."""
        return output_dropout(self.mlp)


def feed_forwards(anatomy: Anatomy) -> list[FFN]:
    """All feed-forward layers of a model, in order."""
    found: list[FFN] = []
    for block in anatomy.blocks:
        if block.mlp is not None:
            found.append(FFN(block.index, len(found), block.mlp))
    return found


def to_convert(anatomy: Anatomy, ffns: list[FFN], config: MoEConfig) -> list[FFN]:
    """The FFNs that `config.layers` names; each of them can be cut.

    Args:
        anatomy: the model.
        ffns: all of its FFNs.
        config: the conversion.

    Returns:
        Those that are converted.

    Raises:
        ModelError: there is none, or one cannot be cut.
    """
    chosen = ffns
    if config.layers != "all":
        _check_layers(config.layers, ffns, blocks=len(anatomy.blocks))
        chosen = [ffn for ffn in ffns if ffn.block in config.layers]
    if not chosen:
        raise ModelError(f"{type(anatomy.model).__name__} has no feed-forward layer to convert")
    for ffn in chosen:
        _check(ffn, config)
    return chosen


def calibration_for(
    model: nn.Module, ffns: list[FFN], config: MoEConfig, calibration: Calibration | Iterable[Any] | None
) -> Calibration | None:
    """Samples that hold all that a conversion asks for; batches are run here.

    Args:
        model: the model.
        ffns: what is converted.
        config: the conversion.
        calibration: samples or batches, or nothing.

    Returns:
        The samples; None where nothing is used.

    Raises:
        ModelError: they are missing, of another model, or without gradients that are needed.
    """
    needs = config.needs
    if calibration is None:
        if config.requires:
            wanted = " and ".join(sorted(config.requires))
            raise ModelError(f"{_reason(config)} needs calibration data ({wanted}): convert(model, config, batches)")
        return None
    if not needs:
        return None
    if not isinstance(calibration, Calibration):
        return calibrate(model, calibration, gradients="gradients" in needs)
    if not _is_of(calibration, ffns):
        raise ModelError(f"the calibration is of another model than this {type(model).__name__} with {len(ffns)} FFNs")
    if "gradients" in needs and any(sample.dh is None for sample in calibration.samples):
        raise ModelError(f"{_reason(config)} needs gradients: calibrate(model, batches, gradients=True)")
    return calibration


def _check_layers(layers: tuple[int, ...], ffns: list[FFN], blocks: int) -> None:
    with_ffn = {ffn.block for ffn in ffns}
    for index in layers:
        if index >= blocks:
            raise ModelError(f"layers={layers}: block {index} does not exist: there are {blocks} blocks")
        if index not in with_ffn:
            raise ModelError(f"layers={layers}: block {index} has no feed-forward layer")


def _check(ffn: FFN, config: MoEConfig) -> None:
    """Whether a mixture of the neurons of this FFN can compute what the FFN does."""
    mlp = ffn.mlp
    path = mlp.site.path
    if mlp.kind == "moe":
        raise ModelError(f"{path} is a mixture of experts already")
    if mlp.kind == "conv":
        raise ModelError(f"{path} is a convolutional block: only gated and plain FFNs can be cut into experts")
    for site in mlp.linears:
        linear_view(site.get(), site.path, "conversion")
        check_own_weight(site.get(), site.path)
    dtypes = {str(site.get().weight.dtype).removeprefix("torch.") for site in mlp.linears}
    if len(dtypes) > 1:
        raise ModelError(
            f"{path} holds weights of {' and '.join(sorted(dtypes))}, as T5 does in half precision: cast the model to "
            "one dtype first, such as model.to(torch.bfloat16)"
        )
    if mlp.hidden < config.num_experts and config.split != "whole":
        raise ModelError(f"{path} has {mlp.hidden} hidden neurons, fewer than num_experts={config.num_experts}")
    whole = nn.ModuleList(site.get() for site in mlp.parts)
    linears = nn.ModuleList(site.get() for site in mlp.linears)
    if set(whole.parameters()) - set(linears.parameters()):
        raise ModelError(f"{path} holds parameters outside its linear layers (a norm?), which cannot be cut")
    if ffn.dropout is None:
        raise ModelError(f"{path} has dropout inside the FFN, which a conversion would lose: set its p to 0")


def _is_of(calibration: Calibration, ffns: list[FFN]) -> bool:
    """Whether the samples have the sizes of these layers. Those of a layer that is converted already are not compared:
    its experts have fewer neurons each."""
    if len(calibration.samples) != len(ffns):
        return False
    for ffn, sample in zip(ffns, calibration.samples, strict=True):
        sizes = (sample.x.shape[1], sample.h.shape[1])
        if ffn.mlp.kind != "moe" and sizes != (ffn.mlp.width, ffn.mlp.hidden):
            return False
    return True


def _reason(config: MoEConfig) -> str:
    """The setting that needs data, for messages."""
    if config.router_init in LOOK_AT_INPUTS:
        return f"router_init={config.router_init!r}"
    if config.scale == "calibrated":
        return "scale='calibrated'"
    if config.align:
        return "align=True"
    if router_class(config.router).from_neurons:
        return f"router={config.router!r}"
    return f"split={config.split!r} with importance={config.importance!r}"
