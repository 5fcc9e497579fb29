"""GIST: adapters and one more token in a ViT, whose logits and those of the image learn from each other

Ruan et al. (arXiv 2312.07255), by authors of iDAT: distillation without a second model. The token stays at inference,
where only the other tokens look at it. With the adapter of the release, 4 hidden units parallel to attention and FFN;
there both its matrices start as N(0, 0.02²) (`init: normal`). The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterConfig, GistTokenConfig
from sparsebench.models.adapters.kinds.gist_token import leaving_tokens
from sparsebench.models.distillation import TokenDistillation, token_logits

from ...contracts.context import Context
from ...contracts.method import Curves, NotApplicable
from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ...training.data_order import TrainingData
from ...training.method import TrainedMethod
from ...training.pair.outputs import joined, outputs_of
from ..adapters._adapters import AdapterMethod
from ._teacher import Adapters, adapters_of

TOKEN = "token"


@dataclass(frozen=True, kw_only=True)
class Gist(AdapterMethod):
    """The token takes part from the first block with adapters on."""

    adapter: Adapters = "idat_shared_parallel"
    """The adapters."""
    rank: int = 4
    """Hidden units of each adapter."""
    init: Literal["normal", "zero_up"] = "zero_up"
    """How adapters start: as no change, or with both matrices N(0, 0.02²), as the release has it."""
    weight: float = 0.75
    """Factor of the divergence in each direction."""
    temperature: float = 3.0
    """Temperature of the divergences."""
    t2: bool = False
    """Whether the divergences count times the square of the temperature."""
    token_weight: float = 0.5
    """Factor of the token's own cross-entropy."""
    dropout: float = 0.1
    """Dropout of the token, in training."""

    chosen_by_training = (*AdapterMethod.chosen_by_training, "weight", "temperature", "token_weight")
    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank={self.rank} must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must lie from 0 to below 1")
        self._distillation()

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The adapters, without the token."""
        return adapters_of(self.adapter, backbone, rank=self.rank, init=self.init, **common)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with the token and, inside of it, the adapters.

        Raises:
            NotApplicable: the task has no classes, over which the loss compares distributions.
        """
        if context.target.kind != "classification":
            raise NotApplicable(f"its loss compares distributions over classes, and this is {context.target.kind}")
        self.put(backbone, GistTokenConfig(dropout=self.dropout, **self.common(context)), TOKEN)
        return super().prepare(backbone, context)

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """The training loop on the whole model: the loss reads the token, so nothing of it is computed once."""
        return TrainedMethod.fit(self, model, data, context)

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss, that of the token, and the divergences."""
        _, targets = batch
        with leaving_tokens(model) as tokens, outputs_of(model) as said:
            own = context.loss(model, batch)
        of_token = token_logits(model, tokens)
        distillation = self._distillation()
        own_of_token = F.cross_entropy(of_token.float(), targets)
        logits = joined(said, context.target.outputs)
        return own + distillation.token_weight * own_of_token + distillation.term(logits, of_token)

    def _distillation(self) -> TokenDistillation:
        return TokenDistillation(
            weight=self.weight, temperature=self.temperature, t2=self.t2, token_weight=self.token_weight
        )
