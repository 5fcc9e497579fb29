"""Continual pre-training: a converted model learns on text again, with the recipe of LLaMA-MoE v1

Zhu et al. (arXiv 2406.16554): AdamW with betas 0.9 and 0.95, decay 0.1, norm clipped to 1, 100 of 13,600 steps of
warm-up, a cosine to a tenth of the rate; everything trains. The paper's rate is 2e-4, for 7 billion parameters and 15
million tokens a step; the default is one for small models and steps. Which text to train on, a filter for fluency
decided in part, which was never released: `keep` and `donor` are a stand-in for it.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ...contracts.context import Context
from ...contracts.method import Curves
from ..training.perplexity_filter import most_likely
from ._language_training import LanguageTraining


@dataclass(frozen=True, kw_only=True)
class ContinualPretraining(LanguageTraining):
    """The recipe on the text of the task."""

    learning_rate: float = 5e-4
    """Peak learning rate; the paper's is 2e-4."""
    weight_decay: float = 0.1
    warmup: float = 0.03
    """Share of the training in which the learning rate rises; the paper's is 0.007, of many more steps."""
    lowest: float = 0.1
    keep: float = 1.0
    """Fraction of the text of each domain that is trained on: what is most likely to the donor, by its perplexity."""
    donor: str | None = None
    """The backbone, dense and of the same tokenizer, that measures perplexity where `keep` is below 1; mostly the one
    that was converted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep} must lie in (0, 1]: the fraction of each domain that is trained on")
        if (self.keep < 1) != (self.donor is not None):
            raise ValueError(
                f"keep={self.keep} and donor={self.donor!r}: a filter needs both, the fraction and the backbone that "
                "measures perplexity, for instance donor: smollm2_135m_instruct"
            )

    def backbones(self) -> tuple[str, ...]:
        """The donor, if text is filtered."""
        return () if self.donor is None else (self.donor,)

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Filter, then train."""
        if self.donor is not None and context.trains and self.train != "none":
            donor = context.load_backbone(self.donor)
            data = most_likely(data, donor, self.keep, context.budget.batch_size)
        return super().fit(model, data, context)
