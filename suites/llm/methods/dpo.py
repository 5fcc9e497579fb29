"""Direct preference optimisation: the right answer against another one of the same data set, as in LLaMA-MoE v2

Rafailov et al. (arXiv 2305.18290); the settings are those of LLaMA-MoE v2 (Qu et al., arXiv 2411.15708): beta 0.1,
routers frozen, no balance loss. Their preference data were not released; here the pairs are made of the instruction
data. The reference is the model that the training starts from, read once before it. The rate of the release is 8e-6,
for 8 billion parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.context import Context
from ...training.callbacks import Callback
from ...training.data_order import FixedBatches
from ...training.result import TrainResult
from ...training.trainable import Trains
from ..training.data import TextRows
from ..training.packing import Row
from ..training.planned import Batches, drawn_rows, one_epoch
from ..training.preferences import (
    answer_log_probs,
    collate_pairs,
    count_pairs,
    dpo_loss,
    preference_pairs,
    reference_log_probs,
)
from ..training.task import CONVERSATIONS
from ._language_training import LanguageTraining

REFERENCE = "reference"


@dataclass(frozen=True, kw_only=True)
class DPO(LanguageTraining):
    """The loss on pairs; `budget.batch_size` counts pairs, and tokens are those of both answers with their prompts."""

    train: Trains = "all_but_router"
    """What trains; the published setting freezes the routers."""
    beta: float = 0.1
    """How much a change of the odds counts; a small one lets the model go far from the reference."""
    learning_rate: float = 2e-5
    """Peak learning rate; the release's is 8e-6."""
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise ValueError(f"beta={self.beta} must be above 0")

    @property
    def needs(self) -> frozenset[str]:
        """Conversations, of whose answers pairs are made."""
        return super().needs | {CONVERSATIONS}

    def pair_loss(self, model: Any, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a batch of pairs, without a balance loss. Raises FloatingPointError, with the groups, if not
        finite.
        """
        policy_P2 = answer_log_probs(model, batch)
        if not policy_P2.isfinite().all():
            raise FloatingPointError(f"the log-probabilities of answers of {batch['groups']} are NaN or infinite")
        return dpo_loss(policy_P2, batch[REFERENCE], self.beta)

    def train_stage(
        self,
        model: nn.Module,
        data: TextRows,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """Draw the pairs that the budget sees, read the reference, train."""
        size = context.budget.batch_size
        pairs = preference_pairs(data, context.task_generator("preferences"))
        generator = context.task_generator("data-order")
        drawn = drawn_rows(pairs, context.budget, size * self.accumulation, generator, repeat=self.repeat)
        unique = list({id(pair): pair for pair in drawn}.values())
        with torch.autocast(context.device.type, torch.bfloat16, enabled=context.dtype is torch.bfloat16):
            reference = reference_log_probs(model, unique, size, context.device)
        known = {id(pair): value for pair, value in zip(unique, reference, strict=True)}

        def batch_of(rows: Sequence[Row]) -> dict[str, Any]:
            batch = collate_pairs(rows, context.device)
            return {**batch, REFERENCE: torch.stack([known[id(row)] for row in rows])}

        order = FixedBatches(Batches(drawn, size, batch_of))
        return self.train_on(
            order, model, data, one_epoch(context), stage, further, loss=self.pair_loss, weight=count_pairs
        )
