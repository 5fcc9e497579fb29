"""PAD-Net: of a dynamic network's weights a fraction stays dynamic, the rest becomes static

He et al. (arXiv 2211.05528), section 3: Iterative Mode Partition turns static what changes the loss least when it
changes its mode, and the two modes get factors that sum to 2. The link before makes the network dynamic
(`dynamic_conv`, `dynamic_linear`), this one partitions and trains it. `ratio` counts weights of a kernel; with K
kernels a fraction of K ratio / (1 - ratio + K ratio) of the stored weights is dynamic: "30 % dynamic" may mean either.
`of` says whether kernels are partitioned or, of an ODConv, its attentions for channels, filters and taps, or both.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.idle import freeze_idle
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import check_of
from sparsebench.models.dynamic.partitioning.released import check_released
from sparsebench.models.dynamic.partitioning.warm_up import WarmUp
from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.method import Curves, Later
from ...contracts.traits import CALIBRATION_DATA
from ...training.callbacks import Callback
from ...training.from_scratch import FromScratch
from ...training.trainable import Trains
from ..shared._balance_bias import BalanceBias
from ..shared._tuned import TunedMethod
from ._dynamic import DYNAMIC, ODCONV_ATTENTIONS, Annealing, check_attentions, check_dynamic, in_float32, mode_curves
from ._used_entries import used_entries

CONTROLS = ({"criterion": "random"}, {"criterion": "magnitude"}, {"criterion": "inverted"}, {"scale": "pruned"})
"""Configurations that are controls: the dynamic weights are drawn, the largest, the wrong ones, or all there is."""

DEPLOYED = {"compact": True}
"""The configuration whose costs are those of a form made after training, of which tables tell."""

WITHOUT_DATA = ("random", "magnitude")


@dataclass(frozen=True, kw_only=True)
class PadNet(FromScratch, TunedMethod):
    """`ratio` 1 is the network that is dynamic as a whole, 0 a static one."""

    train: Trains = "all"
    """What trains on a task that trains."""
    ratio: float = 0.3
    """Share of the weights of each kernel that stays dynamic."""
    criterion: Literal["switch", "remove", "random", "magnitude", "grasp", "inverted"] = "switch"
    """What decides which: the change of the loss by a change of mode ("switch") or by removal, the gradient's flow, or,
    as controls, chance, size, and the reverse of "switch"."""
    scope: Literal["global", "local"] = "global"
    """One ranking of all layers, or one for each."""
    rounds: int = 1
    """How often scores are taken; the released code's default is 1."""
    schedule: Literal["exponential", "linear"] = "exponential"
    """How the dynamic share falls from round to round."""
    granularity: Literal["weight", "row", "channel"] = "weight"
    """Single weights, output rows or input channels; the two latter are faster."""
    scale: Literal["both", "static", "dynamic", "none", "pruned"] = "both"
    """Which factors train; "pruned" drops the static part."""
    static: Literal["mean", "random"] = "mean"
    """What static weights start from: the mean of the kernels, or chance, as in the released code."""
    warmup_steps: int = 10
    """Steps on the calibration data for the scores of the partition, after which the weights come back: kernels and
    static weights that are copies of one another give no criterion anything to see. 0 for networks that start from
    random kernels."""
    warmup_learning_rate: float = 1e-3
    """Learning rate of these steps."""
    temperature: float = 30.0
    """Temperature of the attentions of dynamic convolutions at the start of training; it falls to 1."""
    annealing: float = 0.15
    """Share of the steps that it falls."""
    compact: bool = True
    """Whether what is measured is the deployed form: static weights once, dynamic ones for each kernel."""
    of: Later[Literal["kernels", "attentions", "both"]] = "kernels"
    """What is partitioned: the kernels of all layers, the attentions of ODConv (`ratio` then counts the factors of
    channels, filters and taps), or both, each with its own fraction. Attentions have no `static`
    "random"."""
    faithful: Later[bool] = False
    """Whether rounds are those of the released code, in which what turned static may come back."""

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"ratio={self.ratio} is the fraction of the weights that stays dynamic: from 0 to 1")
        if self.rounds < 1 or self.warmup_steps < 0 or self.warmup_learning_rate <= 0:
            raise ValueError("rounds must be 1 or more, warmup_steps 0 or more, warmup_learning_rate greater than 0")
        if self.temperature < 1 or not 0 <= self.annealing <= 1:
            raise ValueError("temperature must be 1 or more, and annealing, a fraction of the steps, from 0 to 1")
        check_of(self.of, self.static)
        if self.faithful:
            check_released(self.criterion, self.granularity, self.of)

    @property
    def needs(self) -> frozenset[str]:
        """What is partitioned, and calibration data unless no score is taken from data."""
        asked = {DYNAMIC}
        if self.of != "kernels":
            asked.add(ODCONV_ATTENTIONS)
        if self._looks_at_data:
            asked.add(CALIBRATION_DATA)
        return frozenset(asked)

    @property
    def _looks_at_data(self) -> bool:
        return self.warmup_steps > 0 or self.criterion not in WITHOUT_DATA

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Partition in place."""
        check_dynamic(backbone)
        if self.of != "kernels":
            check_attentions(backbone)
        options: dict[str, Any] = {}
        if self._looks_at_data:
            options = {"batches": context.batches(), "loss_fn": context.loss}
        if self.warmup_steps:
            options["warmup"] = WarmUp(steps=self.warmup_steps, learning_rate=self.warmup_learning_rate)
        with in_float32(backbone):
            partition(
                backbone,
                self.ratio,
                criterion=self.criterion,
                scope=self.scope,
                rounds=self.rounds,
                schedule=self.schedule,
                granularity=self.granularity,
                scale=self.scale,
                static=self.static,
                generator=context.generator("partition"),
                of=self.of,
                faithful=self.faithful,
                **options,
            )
        return backbone

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The partitioned model, with a gradient for what `train` names and is used."""
        model = super().prepare(backbone, context)
        if context.trains:
            freeze_idle(model)
        return model

    def loss(self, model: nn.Module, batch: object, context: Context) -> Tensor:
        """The task's loss and the balance loss of gates, if there are any."""
        return context.loss(model, batch) + aux_loss(model)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """The temperature of attentions falls; gates that balance by a bias move it."""
        return (*super().callbacks(context), BalanceBias(), Annealing(self.temperature, self.annealing))

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Train as the task says, and say what became of the modes and their factors.

        Entries of a bank or a static weight that are not used are none of those that trained.
        """
        for parameter, entries in used_entries(model):
            if context.trains and parameter.requires_grad:
                context.ledger.count_part(parameter, entries)
        curves = super().fit(model, data, context)
        return {**curves, **mode_curves(model)}

    def deploy(self, model: nn.Module) -> nn.Module:
        """The deployed form, unless the option says otherwise."""
        if self.compact:
            compact(model)
        return model
