"""What the training of a cell takes, summed over all that is trained in it: links of a chain, stages, a teacher."""

import weakref
from collections.abc import Iterable

from torch import nn

from sparsebench.reports.record import TrainingCosts


class TrainingLedger:
    """Collects the costs of everything that a cell trains; `costs` is what the record keeps.

    A parameter that several stages train counts once. Operations are unknown as a whole if they are of one stage.
    """

    def __init__(self) -> None:
        self._seen: dict[int, weakref.ref[nn.Parameter]] = {}
        self._params = 0
        self._flops: float | None = 0.0
        self._seconds = 0.0
        self._peak_memory: int | None = None
        self._steps = 0
        self._tokens = 0

    def count(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note parameters that are trained."""
        for parameter in parameters:
            known = self._seen.get(id(parameter))
            # The id of a parameter that is gone may come back as that of another.
            if known is None or known() is not parameter:
                self._seen[id(parameter)] = weakref.ref(parameter)
                self._params += parameter.numel()

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
        )
