"""What the training of a cell takes, summed over all that is trained in it: links of a chain, stages, a teacher."""

import copy
import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from sparsebench.reports.records.record import TeacherCosts, TrainingCosts


class TrainingLedger:
    """Collects the costs of everything that a cell trains; `costs` is what the record keeps.

    A parameter that several stages train counts once. Operations are unknown as a whole if they are of one stage.
    """

    def __init__(self) -> None:
        self._seen: dict[int, weakref.ref[Tensor]] = {}
        self._params = 0
        self._flops: float | None = 0.0
        self._seconds = 0.0
        self._peak_memory: int | None = None
        self._steps = 0
        self._tokens = 0
        self._teacher: TeacherLedger | None = None

    def of_teacher(self) -> "TeacherLedger":
        """The ledger of the cell's teacher, a part of this one."""
        if self._teacher is None:
            self._teacher = TeacherLedger(self)
        return self._teacher

    def count(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note parameters that are trained."""
        for parameter in parameters:
            self._note(parameter, parameter.numel())

    def count_part(self, parameter: Tensor, entries: int) -> None:
        """Note a parameter that is to be trained and of which an output depends on so many entries alone.

        `count` passes over it afterwards; one that an earlier stage has trained as a whole stays counted as a whole.
        """
        self._note(parameter, entries)

    def _note(self, parameter: Tensor, entries: int) -> None:
        known = self._seen.get(id(parameter))
        # The id of a parameter that is gone may come back as that of another.
        if known is None or known() is not parameter:
            self._seen[id(parameter)] = weakref.ref(parameter)
            self._params += entries

    def add(
        self,
        *,
        seconds: float,
        flops: float | None = None,
        steps: int = 0,
        tokens: int = 0,
        peak_memory: int | None = None,
    ) -> None:
        """Note one stage; `flops` None means that nobody counted them, `peak_memory` is in bytes."""
        self._seconds += seconds
        self._steps += steps
        self._tokens += tokens
        if flops is None or self._flops is None:
            self._flops = None
        else:
            self._flops += flops
        if peak_memory is not None:
            self._peak_memory = max(peak_memory, self._peak_memory or 0)

    def copy(self) -> "TrainingLedger":
        """Another ledger that goes on from here, for one of several trainings of which one will stay."""
        found = copy.copy(self)
        found._seen = dict(self._seen)
        if self._teacher is not None:
            found._teacher = copy.copy(self._teacher)
            found._teacher._seen = dict(self._teacher._seen)
            found._teacher._whole = found
        return found

    def adopt(self, other: "TrainingLedger") -> None:
        """Become what a copy has become, which is of no use any more."""
        vars(self).update(vars(other))
        if self._teacher is not None:
            self._teacher._whole = self

    def costs(self) -> TrainingCosts | None:
        """The sums, None if nothing was trained."""
        if not self._seen:
            return None
        return TrainingCosts(
            params=self._params,
            flops=self._flops,
            seconds=self._seconds,
            peak_memory=self._peak_memory,
            steps=self._steps,
            tokens=self._tokens,
            teacher=None if self._teacher is None else self._teacher.part(),
        )


class TeacherLedger(TrainingLedger):
    """The part of a teacher in a cell's ledger, the `whole`: what is noted here is noted there, too."""

    def __init__(self, whole: TrainingLedger) -> None:
        super().__init__()
        self._whole = whole
        self._size: int | None = None

    def count(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note parameters that are trained; those that the whole has count there once."""
        members = list(parameters)
        super().count(members)
        self._whole.count(members)

    def count_part(self, parameter: Tensor, entries: int) -> None:
        """As of the whole, which has it, too."""
        super().count_part(parameter, entries)
        self._whole.count_part(parameter, entries)

    def add(self, **taken: Any) -> None:
        """Note a stage of the teacher alone; the arguments are those of `TrainingLedger.add`."""
        super().add(**taken)
        self._whole.add(**taken)

    def attribute(self, model: nn.Module, *, seconds: float, flops: float | None) -> None:
        """Note the teacher's share of a stage that the whole has already, in which its trainable parameters trained."""
        super().count(parameter for parameter in model.parameters() if parameter.requires_grad)
        super().add(seconds=seconds, flops=flops)

    def size(self, model: nn.Module) -> None:
        """Note how many parameters the teacher has, frozen ones included."""
        self._size = sum(parameter.numel() for parameter in model.parameters())

    def part(self) -> TeacherCosts:
        """What the record keeps of the teacher."""
        return TeacherCosts(params_total=self._size, params=self._params, flops=self._flops, seconds=self._seconds)
