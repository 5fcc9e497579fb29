"""Base of the methods that train small modules in a frozen backbone."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from sparsebench.models.adapters import AdapterConfig, AdapterSet, attach
from sparsebench.models.anatomy import Block, UnknownAnatomy, describe
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import Curves, NotApplicable
from ...contracts.traits import ADAPTERS, ATTENTION, BLOCKS, TRAINING_DATA
from ...prediction.frozen_features import cache_frozen_features
from ...training.data_order import TrainingData
from ...training.method import TrainedMethod


@dataclass(frozen=True, kw_only=True)
class ParameterEfficientMethod(TrainedMethod):
    """Modules in the last `blocks` blocks and the head train; the rest is frozen, its batch statistics too."""

    blocks: Literal["all"] | int = "all"
    """The last blocks that get modules; what lies before them is computed once per cell."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS,)
    """Traits of the backbone without which there is no place for the modules."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and a place for the modules."""
        return frozenset({TRAINING_DATA, *self.acts_on})

    @property
    def gives(self) -> frozenset[str]:
        """Adapters."""
        return frozenset({ADAPTERS})

    @property
    def trains(self) -> str | None:
        """The modules."""
        return "adapters"

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
        if ATTENTION in self.needs and self.blocks_of(backbone)[0].attention is None:
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
