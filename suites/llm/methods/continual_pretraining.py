"""Continual pre-training: a converted model learns on text again, with the recipe of LLaMA-MoE v1

Zhu et al. (arXiv 2406.16554): AdamW with betas 0.9 and 0.95, decay 0.1, norm clipped to 1, 100 of 13,600 steps of
warm-up, a cosine to a tenth of the rate; everything trains. The paper's rate is 2e-4, for 7 billion parameters and 15
million tokens a step; the default is one for small models and steps. Which text to train on, a filter for fluency
decided in part, which was never released: `keep` and `donor` are a stand-in for it.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.moe.routing.noise import scale_noise

from ...contracts.budget import Budget
from ...contracts.context import Context
from ...contracts.method import Curves, Later
from ...training.callbacks import Callback, TrainingState
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
    noise_until: Later[float | None] = None
    """Fraction of the training over which the noise of the routers falls to 0, in a line; 0 trains without noise, null
    keeps it as it is learned, as the paper does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep} must lie in (0, 1]: the fraction of each domain that is trained on")
        if (self.keep < 1) != (self.donor is not None):
            raise ValueError(
                f"keep={self.keep} and donor={self.donor!r}: a filter needs both, the fraction and the backbone that "
                "measures perplexity, for instance donor: smollm2_135m_instruct"
            )

        if self.noise_until is not None and not 0 <= self.noise_until <= 1:
            raise ValueError(f"noise_until={self.noise_until} must lie in [0, 1]: a fraction of the training")

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Those of every language training, and the fall of the noise."""
        found = super().callbacks(context)
        return found if self.noise_until is None else (*found, FallingNoise(self.noise_until, context.budget))

    def backbones(self) -> tuple[str, ...]:
        """The donor, if text is filtered."""
        return () if self.donor is None else (self.donor,)

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Filter, then train."""
        if self.donor is not None and context.trains and self.train != "none":
            donor = context.load_backbone(self.donor)
            data = most_likely(data, donor, self.keep, context.budget.batch_size)
        return super().fit(model, data, context)


class FallingNoise(Callback):
    """The noise of the routers falls to 0 in a line, and stays there.

    Args:
        until: the fraction of the training at which it is 0; at 0 from the first step on.
        budget: says how long the training is.
    """

    def __init__(self, until: float, budget: Budget) -> None:
        self.until = until
        self.budget = budget
        self.factor = 1.0
        self.model: nn.Module | None = None

    def on_start(self, state: TrainingState) -> None:
        """The noise of the first step. Raises ValueError for a model without noise, or a training of unknown length."""
        if self._progress(state) is None:
            raise ValueError("noise_until is a fraction of the training, whose number of steps nobody knows here")
        if not self._set(state):
            raise ValueError(f"noise_until={self.until:g}, but no router of this model has noise")

    def on_step(self, state: TrainingState) -> None:
        """The noise of the next step."""
        self._set(state)

    def state_dict(self) -> dict[str, Any]:
        """The noise of the next step."""
        return {"factor": self.factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with it."""
        self.factor = state["factor"]
        assert self.model is not None
        scale_noise(self.model, self.factor)

    def _set(self, state: TrainingState) -> int:
        self.model = state.models["model"]
        self.factor = 0.0
        if self.until:
            self.factor = max(0.0, 1 - (self._progress(state) or 0.0) / self.until)
        return scale_noise(self.model, self.factor)

    def _progress(self, state: TrainingState) -> float | None:
        """The fraction of the training that is over, as the learning rate counts it."""
        unit, amount = self.budget.duration
        if unit == "tokens":
            return state.tokens / amount
        return None if state.total is None else state.step / state.total
