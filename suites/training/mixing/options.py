"""How a method says in which shares it draws from several data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from sparsebench.data.mixtures import STRATEGIES, MixtureStream, Strategy, strategy
from sparsebench.models.moe.routing.probe import has_mixture

from ...contracts.context import Context
from .held_out import LOADS, LOSSES, HeldOut
from .rows import DataSets
from .updates import MixtureUpdates

OPTIONS = (
    "eta",
    "smoothing",
    "distance",
    "criterion",
    "layers",
    "clamp",
    "start",
    "weights",
    "period",
    "every",
    "temperature",
    "kl",
    "repeats",
)
"""Fields that are options of the strategy itself."""


@dataclass(frozen=True, kw_only=True)
class MixingOptions:
    """A strategy by name (`sparsebench.data.mixtures`), when it moves the weights, and its options.

    An option that is null is the strategy's own default; one that the strategy does not have is an error.
    """

    strategy: str = "gate_load"
    """What moves the weights of the data sets: "uniform", "by_size", "gate_load", "reference_loss", ..."""
    interval: int = 100
    """Steps between two updates; the paper of gate loads has 100, its ablation 20 to 200."""
    eta: float | None = None
    """How far an update goes."""
    smoothing: float | None = None
    """The uniform fraction of the weights."""
    distance: Literal["l2", "cosine", "inverse"] | None = None
    """Between the loads of two data sets; "inverse" moves the weights the other way round."""
    criterion: Literal["mean", "min", "max"] | None = None
    """What stands for the distances of a data set from the others."""
    layers: Literal["last", "first", "all"] | None = None
    """Layers of the model whose loads are compared."""
    clamp: bool | None = None
    """Whether a loss below the reference counts as equal to it."""
    start: Mapping[str, float] | str | None = None
    """Weights before the first update: by data set, or the name of published ones."""
    weights: Mapping[str, float] | str | None = None
    """Those of a static mixture: by data set, or the name of published ones."""
    period: int | None = None
    """Steps of each data set, where they come one after another."""
    every: Literal["round", "step"] | None = None
    """When random weights are drawn again."""
    temperature: float | None = None
    """Temperature of weights by size: large ones make them more equal."""
    kl: float | None = None
    """Pull of a regression on small runs toward fractions by size, in the unit of the loss."""
    repeats: float | None = None
    """How often a row may come at most, in the mixture that a regression on small runs proposes."""
    held_out_rows: int | None = None
    """Held-out rows of each data set that an update reads; null: as many that it costs as much of a step as in the
    paper of gate loads, 2.5 rows of all data sets together for each row of a step."""
    watch: bool = False
    """Whether losses and, of a mixture of experts, loads are measured at each update even where the strategy needs
    neither, for the page."""

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise ValueError(f"interval={self.interval} must be 1 or more steps")
        if self.held_out_rows is not None and self.held_out_rows < 1:
            raise ValueError(f"held_out_rows={self.held_out_rows} must be 1 or more")
        kind(self.strategy)

    @property
    def needs_loads(self) -> bool:
        """Whether the strategy looks at gate loads, which only a mixture of experts has."""
        return LOADS in kind(self.strategy).needs

    def mixture(
        self,
        model: nn.Module,
        sets: DataSets,
        read: HeldOut,
        context: Context,
        *,
        repeat: bool = True,
        spent: float = 0.0,
        **measured: Any,
    ) -> tuple[MixtureStream, MixtureUpdates]:
        """The stream of batches, and the callback that moves its weights.

        `measured` is what the strategy starts from (reference losses, say), in the place of options of that name;
        `spent` are the CPU seconds that it took.
        Raises MixtureError, a ValueError, for options that the strategy does not have, are missing or cannot be.
        """
        options = {name: getattr(self, name) for name in OPTIONS if getattr(self, name) is not None}
        seed = context.task_generator("mixture").initial_seed()
        mixed = strategy(self.strategy, sets.names, sizes=sets.sizes, seed=seed, **{**options, **measured})
        stream = MixtureStream(
            sets.train,
            mixed.weights,
            batch_size=context.budget.batch_size,
            collate=sets.collate,
            seed=context.task_generator("data-order").initial_seed(),
            repeat=repeat,
        )
        watched = self._watched(model)
        return stream, MixtureUpdates(mixed, stream, read, interval=self.interval, watched=watched, spent=spent)

    def _watched(self, model: nn.Module) -> frozenset[str]:
        if not self.watch:
            return frozenset()
        return frozenset({LOSSES, LOADS}) if has_mixture(model) else frozenset({LOSSES})


def kind(name: str) -> type[Strategy]:
    """The class of a strategy. Raises MixtureError, a ValueError, for an unknown one."""
    if name not in STRATEGIES:
        strategy(name, ("a",))  # complains, with near names
    return STRATEGIES[name]
