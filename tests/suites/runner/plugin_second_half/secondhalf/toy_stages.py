"""Two stages: first the head alone, then the network under a head that stays

Each stage has half of the budget.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves
from sparsebench.suites.contracts.traits import BLOCKS, TRAINING_DATA
from sparsebench.suites.training.groups import Group

from ._toys import Trained
from ._watch import Watch


@dataclass(frozen=True, kw_only=True)
class ToyStages(Trained):
    """The head, then the rest."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and a head that the anatomy knows."""
        return frozenset({TRAINING_DATA, BLOCKS})

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Both stages."""
        curves: dict[str, Any] = {}
        for stage, budget in zip(("head", "body"), context.budget.halves(), strict=True):
            trains_head = stage == "head"
            model.requires_grad_(not trains_head)
            describe(model).head.get().requires_grad_(trains_head)
            group = Group.adamw("model", model, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
            found = self.train_groups(
                model,
                data,
                context.loss,
                [group],
                replace(context, budget=budget),
                callbacks=[Watch(f"toy_stages {stage}")],
                stage=stage,
            )
            curves |= {f"{stage}: {name}": points for name, points in found.curves.items()}
        return curves
