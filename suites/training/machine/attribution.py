"""What each of several models that train together takes of one reading that rises: seconds, or operations.

Models run one after another, and so do their gradients: autograd works on the node that was made last first, so that
all nodes of a model come before those of a model that ran earlier. What the reading rises by therefore belongs to the
model whose forward pass began, or whose output got its gradient, last. Own losses of a few numbers fall to the model
that is at work.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.costs import clock
from ..groups import Group


class Attribution:
    """Splits the rise of `reading()` among models by name.

    with attribution.watching():
        loss(models, batch).backward()
    attribution.taken  # {"student": 0.2, "teacher": 0.1}

    The models have to be called as modules. `optimizers` are those that each model has: their steps are its own. What
    happens before the first pass and after a step is nobody's.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        reading: Callable[[], float],
        optimizers: Mapping[str, Sequence[torch.optim.Optimizer]] = MappingProxyType({}),
    ) -> None:
        self.models = models
        self.reading = reading
        self.optimizers = optimizers
        self.taken = dict.fromkeys(models, 0.0)
        self._at_work: str | None = None
        self._last = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attribute all passes and steps inside; the hooks go in the end."""
        handles: list[Any] = []
        for name, model in self.models.items():
            handles.append(model.register_forward_pre_hook(self._begins(name)))
            handles.append(model.register_forward_hook(self._gradient_begins(name)))
            for optimizer in self.optimizers.get(name, ()):
                handles.append(optimizer.register_step_pre_hook(self._begins(name)))
                handles.append(optimizer.register_step_post_hook(self._begins(None)))
        try:
            yield
        finally:
            self._turn(None)
            for handle in handles:
                handle.remove()

    def _turn(self, name: str | None) -> None:
        """From here on it is this model's, or nobody's."""
        now = self.reading()
        if self._at_work is not None:
            self.taken[self._at_work] += now - self._last
        self._at_work = name
        self._last = now

    def _begins(self, name: str | None) -> Callable[..., None]:
        def turn(*arguments: object) -> None:
            self._turn(name)

        return turn

    def _gradient_begins(self, name: str) -> Callable[..., None]:
        """A hook of the forward pass: it is over, and its backward pass begins when the output has its gradient."""

        def leave(module: nn.Module, arguments: object, result: object) -> None:
            self._turn(None)
            for output in _tensors(result):
                if output.requires_grad:
                    output.register_hook(self._begins(name))

        return leave


def _tensors(result: Any) -> Iterator[Tensor]:
    """The tensors in what a model returns: one, several, or an object with `logits`."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from _tensors(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield from _tensors(value)
    elif hasattr(result, "logits"):
        yield result.logits


def stopwatch(
    models: Mapping[str, nn.Module],
    groups: Sequence[Group],
    optimizers: Sequence[torch.optim.Optimizer],
    device: torch.device,
) -> Attribution:
    """Attribution of wall time, the steps of each group's optimizer included."""
    owners = {id(parameter): name for name, model in models.items() for parameter in model.parameters()}
    of_model: dict[str, list[torch.optim.Optimizer]] = {name: [] for name in models}
    for group, optimizer in zip(groups, optimizers, strict=True):
        owner = owners[id(group.members()[0])]
        of_model[owner].append(optimizer)
    return Attribution(models, clock(device), of_model)
