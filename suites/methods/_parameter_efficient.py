"""Base of the methods that train small modules in a frozen backbone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from sparsebench.models.adapters import AdapterConfig, AdapterSet, attach
from sparsebench.models.anatomy import Block, UnknownAnatomy, describe
from sparsebench.models.errors import ModelError

from ..contracts.context import Context
from ..contracts.method import Curves, NotApplicable
from ..contracts.traits import Backbone, TaskTraits
from ..prediction.frozen_features import cache_frozen_features
from ..training.data_order import TrainingData
from ..training.method import TrainedMethod

WITHOUT_ATTENTION: Mapping[str, str] = {
    "cnn": "a convolutional network",
    "graph": "a graph network",
    "fingerprint": "a fingerprint",
}
"""Families of backbones without attention, and what they are."""
WITHOUT_BLOCKS = ("graph", "fingerprint")
"""Families without blocks to put a module in."""


@dataclass(frozen=True, kw_only=True)
class ParameterEfficientMethod(TrainedMethod):
    """Modules in the last `blocks` blocks and the head train; the rest is frozen, its batch statistics too."""

    blocks: Literal["all"] | int = "all"
    """The last blocks that get modules; what lies before them is computed once per cell."""
    init: Literal["normal", "zero_up"] = "normal"
    """Both matrices N(0, 0.02²), as SparseAdapter has it and SNIP needs it; or the last one 0: no change at first."""

    needs_attention: ClassVar[bool] = False

    def unsupported(self, task: type[TaskTraits], backbone: Backbone) -> str | None:
        """Tasks that do not train, and backbones without a place for the modules."""
        if not task.trains:
            return "this task does not train"
        if backbone.family in WITHOUT_BLOCKS or (self.needs_attention and backbone.family in WITHOUT_ATTENTION):
            return f"the backbone is {WITHOUT_ATTENTION[backbone.family]}: it has no transformer blocks"
        return None

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """The training loop from the first trained block on."""
        rest, shorter = cache_frozen_features(model, data, context)
        return super().fit(rest, shorter, context)

    def init_seed(self, context: Context) -> int:
        """Seed of the modules' first weights: one for every task and method of a replicate."""
        return int(torch.randint(2**31 - 1, (), generator=context.generator("adapter-init")))

    def common(self, context: Context) -> dict[str, Any]:
        """What every configuration takes from the method and the cell; a vocabulary projection stays frozen."""
        head = not context.target.generates
        return {"blocks": self.blocks, "seed": self.init_seed(context), "train_head": head}

    def put(self, backbone: nn.Module, config: AdapterConfig, name: str = "default") -> AdapterSet:
        """Attach adapters. Raises NotApplicable where the backbone has no place for them."""
        if self.needs_attention and self.blocks_of(backbone)[0].attention is None:
            raise NotApplicable("the backbone has no attention")
        try:
            return attach(backbone, config, name)
        except ModelError as error:
            raise NotApplicable(str(error)) from error

    def blocks_of(self, backbone: nn.Module) -> tuple[Block, ...]:
        """The blocks of the loaded backbone. Raises NotApplicable where no anatomy is known."""
        try:
            return describe(backbone).blocks
        except UnknownAnatomy as error:
            raise NotApplicable(f"no blocks are known: {error}") from error
