"""Instruction tuning: a converted model learns to answer, with the recipe of LLaMA-MoE v1 and v2

Zhu et al. (arXiv 2406.16554) and Qu et al. (arXiv 2411.15708): AdamW without decay, a warm-up of 3 % and a cosine; loss
on the answers only, which is the task's. v1 freezes the routers (`train: all_but_router`) and tunes for 2 epochs, v2
freezes nothing (`train: all`) and tunes for 3. Their rate is 2e-5, for 7 billion parameters and a million tokens a
step; the default is one for small models and steps.
"""

from dataclasses import dataclass

from ..training.task import CONVERSATIONS
from ._language_training import LanguageTraining


@dataclass(frozen=True, kw_only=True)
class InstructionTuning(LanguageTraining):
    """The recipe on the conversations of the task."""

    learning_rate: float = 2e-4
    """Peak learning rate; the papers' is 2e-5."""
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.03

    @property
    def needs(self) -> frozenset[str]:
        """Conversations, of which the task learns the answers."""
        return super().needs | {CONVERSATIONS}
