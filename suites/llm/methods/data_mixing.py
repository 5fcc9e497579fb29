"""Data mixing: a model trains on data sets in fractions that move, by the gate loads of its experts or by losses

MoE-SFT (Zhu et al., arXiv 2406.11256): every 100 steps the tokens that each expert gets of each data set say which sets
are alike, and those that are unlike the others are drawn more often; AdamW without decay, 3 % of warm-up, a cosine,
routers frozen (`train: all_but_router`). Their rate is 2e-5, for 7 billion parameters. With another `strategy`: the
baselines of the paper, LLaMA-MoE's static and dynamic sampling, and newer rivals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

from torch import Tensor, nn

from sparsebench.data.mixtures import MixtureStream, strategy
from sparsebench.models.moe.routing.noise import remove_noise

from ...contracts.context import Context
from ...contracts.method import Later, NotApplicable
from ...contracts.traits import EXPERTS
from ...training.callbacks import Callback
from ...training.mixing.held_out import LOSSES, HeldOut, measure
from ...training.mixing.options import MixingOptions, kind
from ...training.mixing.rows import DataSets, in_steps
from ...training.mixing.swarm import REGRESSION, Swarm, first_weights_after
from ...training.processes import Processes
from ...training.random_state import undisturbed
from ...training.result import TrainResult
from ..training.data import TextRows
from ..training.data_sets import (
    ENCODER,
    By,
    data_sets,
    held_out,
    partition,
    reference_losses,
    sentence_encoder,
)
from ..training.sentence_groups import group_vectors
from ._language_training import LanguageTraining

SENTENCES = "sentence_embeddings"
"""The static strategy by sentence embeddings; as `start`, its weights are those that others start from."""


@dataclass(frozen=True, kw_only=True)
class DataMixing(MixingOptions, LanguageTraining):
    """The recipe on the groups of the task's rows, drawn row by row in the fractions of the strategy.

    A budget in epochs is as many steps as so many passes over all rows; a set with a large share comes more often.
    `start: sentence_embeddings` begins with the weights that the static strategy of this name has.
    """

    learning_rate: float = 2e-4
    """Peak learning rate; the paper's is 2e-5."""
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.03
    repeat: bool = True
    """Data sets come again where their fraction asks for it; with false, a set that is used up is an error."""
    sets: By = "source"
    """What makes a data set: the task's groups, or clusters of sentence embeddings ("sentences")."""
    clusters: int = 4
    """How many of them."""
    donor: str | None = None
    """The backbone whose held-out losses are the reference, of the same tokenizer: mostly the dense model that was
    converted, or a folder with one that was trained on a uniform mixture (`hf:<folder>`)."""
    reference: Later[Mapping[str, float] | None] = None
    """The reference itself: held-out losses by data set, nats per token, such as those at the end of a uniform run."""
    rehearsal: str | None = None
    """A strategy with which the whole training is run before, from the same weights, to which the model then returns:
    "reference_loss" takes the held-out losses at its end as the reference, "static" the weights at its end. The
    record's costs count it."""
    proxies: int | None = None
    """Small runs of "proxy_regression", from the weights that the training starts from; the record's costs count
    them."""
    proxy_steps: int = 50
    """Steps of a small run, with a warm-up and a cosine of its own."""
    added: tuple[str, ...] = ()
    """Data sets that are taken as new: the others keep the ratios that `earlier` small runs on them alone gave, and
    `proxies` more say how much of each new set there is beside them."""
    earlier: int | None = None
    """Small runs on the data sets that are not new."""
    noise: bool = True
    """Whether routers with noise draw it in training."""
    balance: bool = True
    """Whether the balance loss of the routers counts."""

    def __post_init__(self) -> None:
        MixingOptions.__post_init__(self)
        LanguageTraining.__post_init__(self)
        given = [option for option in (self.donor, self.reference, self.rehearsal) if option is not None]
        of_static = self.strategy == "static" and (self.weights is None) == (self.rehearsal is not None)
        if len(given) != (self.strategy == "reference_loss") and not (given == [self.rehearsal] and of_static):
            raise ValueError(
                f"strategy={self.strategy!r}, donor={self.donor!r}, reference={self.reference!r} and rehearsal="
                f"{self.rehearsal!r}: 'reference_loss' needs either a backbone that measures the reference, for "
                "instance donor: smollm2_135m_instruct, or the losses themselves, reference: {code: 1.2, law: 0.9}, or "
                "a run before that ends with them, rehearsal: uniform; of other strategies only 'static' takes a "
                "rehearsal, in the place of weights"
            )
        if (self.proxies is None) == (self.strategy == REGRESSION) or (self.earlier is None) == bool(self.added):
            raise ValueError(
                f"strategy={self.strategy!r}, proxies={self.proxies}, added={list(self.added)} and earlier="
                f"{self.earlier}: {REGRESSION!r} and no other strategy needs small runs, proxies: 10; sets that are "
                "new, added: [law], go with the number of small runs before, earlier: 8"
            )
        if self.rehearsal is not None:
            kind(self.rehearsal)
        if self.clusters < 2:
            raise ValueError(f"clusters={self.clusters} must be 2 or more")

    @property
    def needs(self) -> frozenset[str]:
        """Experts, where the strategy, or the one before, looks at their loads."""
        loads = self.needs_loads or (self._before is not None and self._before.needs_loads)
        return super().needs | (frozenset({EXPERTS}) if loads else frozenset())

    @property
    def _before(self) -> MixingOptions | None:
        """How the run before mixes, if there is one."""
        return None if self.rehearsal is None else MixingOptions(strategy=self.rehearsal, interval=self.interval)

    def backbones(self) -> tuple[str, ...]:
        """The reference and the encoder of sentences, where they are needed."""
        donor = () if self.donor is None else (self.donor,)
        return (*donor, *self.helpers())

    def helpers(self) -> tuple[str, ...]:
        """The encoder of sentences."""
        if SENTENCES in (self.strategy, self.start) or self.sets == "sentences":
            return (ENCODER,)
        return ()

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Take the noise off the routers, if it is not wanted. Raises `NotApplicable` where none draws noise."""
        if not self.noise and not remove_noise(backbone):
            raise NotApplicable("noise: false, but no router of this model draws noise")
        return backbone

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss, and the balance loss of the routers unless it is switched off."""
        if self.balance:
            return super().loss(model, batch, context)
        return context.loss(model, batch)

    def train_stage(
        self,
        model: nn.Module,
        data: TextRows,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """One training on the mixture."""
        parted = partition(data, self.sets, self.clusters, context)
        sets = data_sets(parted)
        size = context.budget.batch_size
        per_step = size * self.accumulation * Processes(context.device).count
        read = held_out(parted, sets.held_out_batches(per_step, size, self.held_out_rows), context)
        context = in_steps(context, sets, per_step)
        began = process_time()
        measured = self._measured(data, parted, read, context)
        if self.rehearsal is not None:
            measured |= self._rehearsed(model, parted, sets, read, context, stage)
        if self.proxies is not None:
            measured |= self._small_runs(model, parted, sets, read, context, stage)
        spent = process_time() - began
        stream, updates = self.mixture(model, sets, read, context, repeat=self.repeat, spent=spent, **measured)
        return self.train_on(stream, model, parted, context, stage, (updates, *further))

    def _rehearsed(
        self, model: nn.Module, parted: TextRows, sets: DataSets, read: HeldOut, context: Context, stage: str
    ) -> dict[str, Any]:
        """What the run before ends with; the model has its first weights again."""
        before = self._before
        assert before is not None
        with first_weights_after(model):
            stream, updates = before.mixture(model, sets, read, context, repeat=self.repeat)
            with undisturbed():
                self.train_on(stream, model, parted, context, f"{stage} rehearsal", (updates,))
            if self.strategy != "reference_loss":
                return {"weights": updates.strategy.weights}
            processes = Processes(next(model.parameters()).device)
            return {"reference": measure(model, read, frozenset({LOSSES}), processes).losses}

    def _small_runs(
        self, model: nn.Module, parted: TextRows, sets: DataSets, read: HeldOut, context: Context, stage: str
    ) -> dict[str, Any]:
        """What small runs found, and what bounds the mixture that follows from it."""
        size = context.budget.batch_size
        short = replace(context, budget=replace(context.budget, steps=self.proxy_steps, tokens=None))

        def train(weights: Mapping[str, float], name: str) -> None:
            seed = context.task_generator("data-order").initial_seed()
            stream = MixtureStream(sets.train, weights, batch_size=size, collate=sets.collate, seed=seed)
            self.train_on(stream, model, parted, short, f"{stage} {name}")

        draws = None
        if context.budget.steps is not None:
            draws = context.budget.steps * size * self.accumulation * Processes(context.device).count
        swarm = Swarm(
            model=model,
            train=train,
            read=read,
            sizes=sets.sizes,
            seed=context.task_generator("small runs").initial_seed() % 2**32,
            options={"kl": self.kl, "repeats": self.repeats, "draws": draws},
        )
        assert self.proxies is not None
        if self.earlier is None:
            return {"runs": swarm.runs(self.proxies, sets.names), "draws": draws}
        kept, runs = swarm.reused(self.proxies, self.earlier, self.added)
        return {"runs": runs, "kept": kept, "draws": draws}

    def _measured(self, data: TextRows, parted: TextRows, read: HeldOut, context: Context) -> dict[str, Any]:
        """What the strategy starts from: reference losses, or the mean sentence embeddings of the data sets."""
        measured: dict[str, Any] = {}
        if self.reference is not None:
            measured["reference"] = self.reference
        if self.donor is not None:
            measured["reference"] = reference_losses(context.load_backbone(self.donor), data, read)
        if SENTENCES in (self.strategy, self.start):
            measured["embeddings"] = group_vectors(parted, sentence_encoder(context))
        if self.start == SENTENCES:
            static = strategy(SENTENCES, parted.groups, embeddings=measured.pop("embeddings"))
            measured["start"] = static.weights
        return measured
