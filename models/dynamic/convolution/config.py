"""How convolutions are made dynamic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import ModelError, check_choice
from ..config import DynamicConfig

ConvKind = Literal["dy_conv", "cond_conv", "od_conv"]
Which = Literal["all", "spatial", "pointwise", "depthwise"]


@dataclass(frozen=True, kw_only=True)
class ConvConfig(DynamicConfig):
    """Options of dynamic convolutions, in addition to those of `DynamicConfig`.

    The stem and the classifier stay static.

    Attributes:
        kind: "dy_conv" (DY-Conv), "cond_conv" (CondConv), "od_conv" (ODConv). Each is described in its file.
        which: of the convolutions of the blocks, "all", those with kernels larger than 1 x 1 that see all channels
            ("spatial"), those of 1 x 1 ("pointwise"), or those with a group for each channel ("depthwise").
        shortcuts: also the convolutions of shortcuts.
        last: also the last 1 x 1 convolution before the pooling, where a network has one (MobileNetV2).
        reduction: the hidden units of an attention are its inputs divided by this.
        temperature: what the logits of an attention are divided by at first (`anneal` changes it); CondConv has none.
    """

    kind: ConvKind = "dy_conv"
    which: Which = "all"
    shortcuts: bool = True
    last: bool = True
    reduction: int = 16
    temperature: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("kind", self.kind, get_args(ConvKind))
        check_choice("which", self.which, get_args(Which))
        if self.reduction < 1:
            raise ModelError(f"reduction={self.reduction}: inputs are divided by it, so it is at least 1")
        if not 0 < self.temperature < float("inf"):
            raise ModelError(f"temperature={self.temperature}: logits are divided by it, so it is above 0")
