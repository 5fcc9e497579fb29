"""The teacher of a joint training: which backbone, what of it trains, and how it starts."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterConfig, attach, preset
from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.distillation.presets import IdatAdapter
from sparsebench.models.errors import ModelError

from ...contracts.context import Context, Setup
from ...contracts.method import NotApplicable, WrongBackboneError
from ...contracts.vocabulary import difference, vocabulary
from ...training.trainable import train_only
from ..adapters._adapters import Kind, prunable
from ..adapters._drop_path import set_drop_path

Adapters = Literal[
    "bottleneck",
    "houlsby",
    "pfeiffer",
    "parallel",
    "lora",
    "idat_sequential",
    "idat_adaptformer",
    "idat_shared_parallel",
]
"""Adapters of the two models: "bottleneck" has a place in every transformer and CNN, those of iDAT in pre-norm ViTs."""
TeacherTrains = Literal["adapters", "head", "all", "none"]
ADAPTED = ("adapters", "none")
"""With which values of `TeacherTrains` the teacher carries adapters."""
SMALLER = "smaller"
"""In place of a teacher's name: the backbone that the student's own file names as the smaller one of a pair."""
HEAD_DEVIATION = 0.02
"""Standard deviation of the normal distribution that heads start from, in the release and here."""


def adapters_of(kind: Adapters, model: nn.Module, *, rank: int, init: Any, **common: Any) -> AdapterConfig:
    """The configuration of a kind for a model; `common` are fields that all have."""
    if kind in get_args(IdatAdapter):
        return preset(kind, r=rank, init=init, **common)
    prunable_kind: Kind = kind  # type: ignore[assignment]
    return prunable(prunable_kind, model, rank=rank, init=init, **common)


def check_vocabulary(name: str, student: Any, teacher: Any) -> None:
    """Raise `WrongBackboneError` where the two write other tokens; `teacher` is the loaded backbone `name`."""
    own = vocabulary(student)
    other = vocabulary(teacher)
    if own is None or other is None:
        return
    found = difference(own, other)
    if found is not None:
        raise WrongBackboneError(
            f"the vocabulary of the teacher {name} has {found}: distillation compares outputs token by token, so take "
            "a teacher and a student of one vocabulary"
        )


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A teacher as the options of a method say it."""

    name: str
    """Backbone, `name[:argument]`."""
    adapter: Adapters
    rank: int
    blocks: Literal["all"] | int
    init: str
    trains: TeacherTrains
    drop_path: float = 0.0

    def check(self, context: Context) -> None:
        """Raise `NotApplicable` where the backbone has no place for the adapters, or another vocabulary.

        Loads the backbone alone, without a data set.
        """
        loaded = context.further[self.name](context.generator(f"backbone-init {self.name}"))
        tokenizer = getattr(loaded, "tokenizer", None)
        if context.target.generates and tokenizer is not None and len(tokenizer) != context.target.outputs:
            raise NotApplicable(
                f"the vocabulary of the teacher {self.name} has {len(tokenizer)} tokens and that of the student "
                f"{context.target.outputs}: distillation needs one vocabulary"
            )
        model = loaded if isinstance(loaded, nn.Module) else loaded.model
        if self.trains in ADAPTED:
            self._adapt(model, {"train_head": False})

    def set_up(self, context: Context) -> Setup:
        """The teacher on the task of `context`, with its adapters, and a gradient for what of it trains.

        Adapters and a new head start from random numbers of their own: a teacher of the student's kind is no copy. What
        the ledger of its context is told counts as the teacher's.
        """
        teacher = context.load_backbone(self.name)
        model = teacher.model
        if self.drop_path:
            set_drop_path(model, self.drop_path)
        if not context.target.generates:
            self._fresh_head(model, context)
        if self.trains in ADAPTED:
            seed = int(torch.randint(2**31 - 1, (), generator=context.generator("teacher-adapter-init")))
            self._adapt(model, {"seed": seed, "train_head": not context.target.generates})
        if self.trains != "adapters":
            model = train_only(model, self.trains, teacher.context)
        ledger = context.ledger.of_teacher()
        ledger.size(model)
        return replace(teacher, model=model, context=replace(teacher.context, ledger=ledger))

    def _adapt(self, model: nn.Module, common: dict[str, Any]) -> None:
        try:
            fields = {"rank": self.rank, "init": self.init, "blocks": self.blocks, **common}
            attach(model, adapters_of(self.adapter, model, **fields))
        except (UnknownAnatomy, ModelError) as error:
            raise NotApplicable(f"the teacher {self.name}: {error}") from error

    @torch.no_grad()
    def _fresh_head(self, model: nn.Module, context: Context) -> None:
        generator = context.generator("teacher-head-init")
        for parameter in self._head(model):
            if parameter.ndim > 1:
                drawn = torch.empty(parameter.shape).normal_(0.0, HEAD_DEVIATION, generator=generator)
                parameter.copy_(drawn)
            else:
                parameter.zero_()

    def _head(self, model: nn.Module) -> list[Tensor]:
        try:
            sites = describe(model).heads
        except UnknownAnatomy:
            head = getattr(model, "head", None)
            return [] if head is None else list(head.parameters())
        return [parameter for site in sites for parameter in site.get().parameters()]
