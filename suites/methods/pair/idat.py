"""iDAT: a small teacher and a large student are adapter-tuned together, each also learning from the other's logits

Inverse distillation (Ruan et al., arXiv 2403.15750): the teacher is the smaller model, trained beside the student and
dropped after training, so that the student costs what its adapters cost. One backward pass through the sum of both
losses and the distance of the logits, an optimizer for each model. Both heads train too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from torch import nn

from sparsebench.models.adapters import AdapterConfig
from sparsebench.models.distillation import Ensemble, InverseDistillation
from sparsebench.models.distillation.presets import RELEASED_WIDTH

from ...contracts.context import Context
from ...contracts.method import Curves, Later, NotApplicable
from ...prediction.frozen_features import cache_frozen_features
from ...training.callbacks import Callback
from ...training.data_order import TrainingData
from ...training.groups import Group
from ...training.pair.ensemble import AdapterSpread, ensemble_of
from ...training.pair.joint import STUDENT, TEACHER, JointLoss, check_pair
from ...training.pair.schedule import OwnSchedule
from ...training.views import BothViews
from ..adapters._drop_path import DropPathMethod
from ..shared._released import ReleasedByTask
from ._teacher import SMALLER, Adapters, Teacher, TeacherTrains, adapters_of, check_vocabulary

CONTROLS = ({"teacher_train": "none"}, {"detach_teacher": True}, {"ensemble": True})
"""Configurations that are controls: the teacher that is never stepped, the usual direction of the gradient, and both
models at inference, an upper reference."""
CHECKS_BACKBONES = True


@dataclass(frozen=True, kw_only=True)
class InverseDistillationTuning(ReleasedByTask, DropPathMethod):
    """A teacher of the same size, or a larger one, is the same method with another `teacher`.

    `faithful` has the width, the start and the loss of the release (adapters 4 wide, both projections N(0, 0.02²), no
    factor T²), and `released` its learning rate, decay and drop path for each task of VTAB-1K, those of SSF; what that
    code does without mixed precision, a teacher that never learns, is `teacher_train: none`.
    """

    teacher: str = "tiny"
    """Backbone of the teacher, `name[:argument]`, of the same suite, or "smaller": the one that the student's backbone
    names as the smaller of a pair; the default is for smoke tests only."""
    adapter: Adapters = "bottleneck"
    """Adapters of both models; those of the release are named idat_*."""
    rank: int = 8
    """Hidden units of each adapter of the student."""
    init: Literal["normal", "zero_up"] = "zero_up"
    """How adapters start: as no change, or with both matrices N(0, 0.02²), as the release has it."""
    kind: Literal["mse", "kl"] = "mse"
    """Distance of the logits: mean squared, or the divergence of the student from the teacher."""
    weight: float = 1.0
    """Factor of the distance between student and teacher."""
    temperature: float = 5.0
    """Temperature of the divergence."""
    t2: bool = False
    """Whether the divergence counts times the square of the temperature, so that its gradient does not fade."""
    detach_teacher: bool = False
    """Whether the distance moves the student only; in the release it moves both."""
    student_loss: float = 1.0
    """Weight of the student's own loss."""
    teacher_loss: float = 1.0
    """Weight of the teacher's own loss."""
    teacher_train: TeacherTrains = "adapters"
    """What of the teacher trains; "none" leaves it with its random head, and adapters as they start."""
    teacher_rank: int | None = None
    """Hidden units of each adapter of the teacher; null: as many as in the student."""
    teacher_blocks: Literal["all"] | int = "all"
    """The last blocks of the teacher that get adapters."""
    teacher_learning_rate: float | None = None
    """Peak learning rate of the teacher; null: that of the student."""
    teacher_weight_decay: float | None = None
    """Decay of the teacher's matrices; null: that of the student."""
    teacher_warmup: float | None = None
    """Share of the steps that the teacher's learning rate rises; null: as the student's."""
    ensemble: bool = False
    """Whether both models stay, and their logits are averaged: what the student could reach."""
    faithful: bool = False
    """Whether width, start and loss are those of the release."""
    drop_path: Later[float] = 0.0
    """Rate at which the branches of the last block are dropped in training, falling in a straight line to 0 at the
    first, in both models; 0, 0.1 or 0.2 in the release, by task."""

    release: ClassVar[str] = "idat"
    chosen_by_training = (*DropPathMethod.chosen_by_training, "weight", "temperature", "student_loss", "teacher_loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1 or (self.teacher_rank is not None and self.teacher_rank < 1):
            raise ValueError(f"rank={self.rank} and teacher_rank={self.teacher_rank} must be 1 or more")
        if self.faithful:
            self._check_faithful()
        self._distillation()

    def _check_faithful(self) -> None:
        if not self.adapter.startswith("idat_"):
            raise ValueError(
                f"faithful: true, but adapter={self.adapter!r} is none of the release's: say idat_sequential"
            )
        changed = [name for name in ("rank", "init", "t2", "teacher_rank") if getattr(self, name) != _default(name)]
        if changed:
            raise ValueError(f"faithful: true sets the release's own values of {', '.join(changed)}: leave them out")

    def _distillation(self) -> InverseDistillation:
        return InverseDistillation(
            kind=self.kind,
            weight=self.weight,
            temperature=self.temperature,
            t2=self.t2,
            detach_teacher=self.detach_teacher,
            student_weight=self.student_loss,
            teacher_weight=self.teacher_loss,
        )

    def _teacher(self) -> Teacher:
        rank, init = self._start()
        if self.teacher_rank is not None:
            rank = self.teacher_rank
        return Teacher(
            name=self.teacher,
            adapter=self.adapter,
            rank=rank,
            blocks=self.teacher_blocks,
            init=init,
            trains=self.teacher_train,
            drop_path=self.drop_path,
        )

    def _start(self) -> tuple[int, str]:
        """Width and first values of the student's adapters."""
        if self.faithful:
            return RELEASED_WIDTH, "normal"
        return self.rank, self.init

    @property
    def wants_smaller(self) -> bool:
        """Whether the student chooses the teacher."""
        return self.teacher == SMALLER

    def beside(self, smaller: str) -> Self:
        """With this teacher, where the student chooses it."""
        return replace(self, teacher=smaller) if self.wants_smaller else self

    def backbones(self) -> tuple[str, ...]:
        """The teacher; none where the student names no smaller backbone."""
        return () if self.wants_smaller else (self.teacher,)

    def check_backbones(self, own: Any, further: Mapping[str, Any]) -> None:
        """Both have one vocabulary, where they write."""
        check_vocabulary(self.teacher, own, further[self.teacher])

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The student's adapters."""
        rank, init = self._start()
        return adapters_of(self.adapter, backbone, rank=rank, init=init, **common)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The student with its adapters; with `ensemble`, beside the teacher.

        Raises `NotApplicable` where one of the two has no place for adapters, for two vocabularies, and for a distance
        that the targets do not have.
        """
        if self.kind == "kl" and context.target.kind in ("regression", "multilabel"):
            raise NotApplicable(
                f"kind: kl compares distributions over classes, and this is {context.target.kind}: say mse"
            )
        if self.wants_smaller:
            raise NotApplicable("no teacher was chosen: only a run of a profile knows the backbone by its name")
        student = super().prepare(backbone, context)
        if not self.ensemble:
            self._teacher().check(context)
            return student
        return ensemble_of(student, context, self._teacher().set_up(context), self.teacher)

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Train both on the same examples in the same order, each from its first trained block on.

        Raises `NotApplicable`, before any training, where the two do not put out the same things.
        """
        teacher = self._teacher().set_up(context)
        student = model
        if isinstance(model, Ensemble):
            student = model.first
            teacher = replace(teacher, model=model.second)
        check_pair(self.teacher, student, data, context, teacher)
        own, own_data = cache_frozen_features(student, data, context)
        other, other_data = cache_frozen_features(teacher.model, teacher.data, teacher.context)
        trains = self.teacher_train != "none"
        loss = JointLoss(self._distillation(), context.loss, teacher.context.loss, context.target.outputs, trains)
        count = context.tokens
        result = self.train_groups(
            {STUDENT: own, TEACHER: other},
            BothViews(own_data, other_data),
            loss,
            self._groups(own, other),
            context,
            tokens=None if count is None else _of_the_student(count),
            callbacks=(*self.callbacks(context), AdapterSpread(), *self._own_schedule(context)),
        )
        context.ledger.of_teacher().attribute(
            teacher.model, seconds=result.model_seconds[TEACHER], flops=result.model_flops.get(TEACHER)
        )
        return result.curves

    def _groups(self, student: nn.Module, teacher: nn.Module) -> list[Group]:
        """An optimizer for each model."""
        found = [Group.adamw(STUDENT, student, learning_rate=self.learning_rate, weight_decay=self.weight_decay)]
        if self.teacher_train != "none":
            rate = self.learning_rate if self.teacher_learning_rate is None else self.teacher_learning_rate
            decay = self.weight_decay if self.teacher_weight_decay is None else self.teacher_weight_decay
            found.append(Group.adamw(TEACHER, teacher, learning_rate=rate, weight_decay=decay))
        return found

    def _own_schedule(self, context: Context) -> tuple[Callback, ...]:
        if self.teacher_warmup is None or self.teacher_train == "none":
            return ()
        return (OwnSchedule(TEACHER, self.settings(context), warmup=self.teacher_warmup),)


def _default(name: str) -> Any:
    return InverseDistillationTuning.__dataclass_fields__[name].default


def _of_the_student(count: Callable[[Any], int]) -> Callable[[Any], int]:
    def tokens(batch: tuple[Any, Any]) -> int:
        return count(batch[0])

    return tokens
