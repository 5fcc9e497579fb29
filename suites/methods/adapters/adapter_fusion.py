"""AdapterFusion: a learned mixture of adapters, each trained on a part of the data

Pfeiffer et al. (arXiv 2005.00247), section 3.2. Their adapters come from several tasks; a cell has one, so ours come
from disjoint parts of its training data. Half of the training goes to them, one after another, the other half to the
mixture, with the adapters frozen. The head trains throughout.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal

from torch import nn

from sparsebench.models.adapters import AdapterSet, BottleneckConfig, FusionConfig, adapter_sets, sparsify

from ...contracts.budget import Budget
from ...contracts.context import Context
from ...contracts.method import Curves
from ...contracts.traits import ATTENTION, BLOCKS
from ...prediction.frozen_features import cache_frozen_features
from ...training.data_order import TrainingData
from ._parameter_efficient import ParameterEfficientMethod

FUSION = "fusion"


@dataclass(frozen=True, kw_only=True)
class AdapterFusion(ParameterEfficientMethod):
    """`adapters` bottlenecks of `rank` hidden units after each FFN, and their mixture."""

    rank: int = 16
    """Hidden units of each adapter."""
    adapters: int = 3
    """How many are mixed."""
    sparsity: float = 0.0
    """Share of the adapters' weights that SNIP removes before training."""
    init: Literal["normal", "zero_up"] = "normal"
    """Both matrices N(0, 0.02²), as SparseAdapter has it and SNIP needs it; or the last one 0: no change at first."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def __post_init__(self) -> None:
        if self.adapters < 1 or not 0 <= self.sparsity < 1:
            raise ValueError(f"adapters={self.adapters} must be 1 or more, sparsity={self.sparsity} from 0 to below 1")

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with the adapters and their mixture."""
        common = self.common(context)
        for index in range(self.adapters):
            fields = common | {"seed": common["seed"] + index}
            config = BottleneckConfig(r=self.rank, activation="relu", init=self.init, **fields)
            adapters = self.put(backbone, config, f"part {index}")
            if self.sparsity:
                sparsify(adapters, sparsity=self.sparsity, batches=context.batches(), loss_fn=context.loss)
            adapters.disable()
        sources = dict(adapter_sets(backbone))
        for adapters in sources.values():
            adapters.enable()
        self.put(
            backbone,
            FusionConfig(adapters=tuple(sources), seed=common["seed"], train_head=common["train_head"]),
            FUSION,
        )
        _train(sources.values(), True)
        return backbone

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Each adapter on its part of the data, then the mixture on all of it."""
        sets = adapter_sets(model)
        sources = [adapters for name, adapters in sets.items() if name != FUSION]
        first, second = context.budget.halves()
        sets[FUSION].disable()
        _only(sources[0], sources)
        rest, shorter = cache_frozen_features(model, data, context)
        for index, (adapters, own) in enumerate(zip(sources, _one_after_another(first, len(sources)), strict=True)):
            _only(adapters, sources)
            part: Any = replace(shorter, train=shorter.train[index :: len(sources)])  # type: ignore[type-var]
            self.train_stage(rest, part, _for(context, own), f"adapter {index}")
        for adapters in (*sources, sets[FUSION]):
            adapters.enable()
        _train(sources, False)
        curves = self.train_stage(rest, shorter, _for(context, second), FUSION).curves
        _train(sources, True)  # what was trained counts as such
        return curves


def _one_after_another(budget: Budget, count: int) -> list[Budget]:
    """The budgets of so many trainings that make one of `budget` together, each of 1 unit at least.

    Epochs are passes over the part of each training, and so as many of the whole; steps and tokens are shared out.
    """
    unit, amount = budget.duration
    if unit == "epochs":
        return [budget] * count
    ends = [amount * number // count for number in range(count + 1)]
    return [replace(budget, **{unit: max(1, end - begin)}) for begin, end in pairwise(ends)]


def _only(chosen: AdapterSet, sources: Sequence[AdapterSet]) -> None:
    """Let one set act and train, the others neither."""
    for adapters in sources:
        adapters.requires_grad_(adapters is chosen)
        (adapters.enable if adapters is chosen else adapters.disable)()


def _train(sets: Iterable[AdapterSet], flag: bool) -> None:
    for adapters in sets:
        adapters.requires_grad_(flag)


def _for(context: Context, budget: Budget) -> Context:
    return replace(context, budget=budget)
