"""Groups of parameters, each with its own optimizer: one for a model, or a student's and a teacher's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from .optimizer import parameter_groups


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters that one optimizer moves.

    student = Group.adamw("student", student_model, learning_rate=1e-3, weight_decay=0.01)
    teacher = Group(
        name="teacher", parameters=list(teacher_model.parameters()), learning_rate=1e-4, optimizer=torch.optim.SGD
    )
    """

    name: str
    parameters: Sequence[Any]
    """Parameters, or dictionaries as torch's optimizers take them: {"params": [...], "weight_decay": 0.0}."""
    learning_rate: float
    """At its peak; the schedule of the settings goes over it. A dictionary with its own "lr" keeps that one."""
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW
    """Called with the parameters and `lr`."""
    clip: float | None = None
    """Largest norm of this group's gradient; None: not clipped on its own."""

    @classmethod
    def adamw(
        cls,
        name: str,
        model: nn.Module,
        *,
        learning_rate: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
    ) -> "Group":
        """The trainable parameters of a model by AdamW; only matrices decay.

        Args:
            name: of the group.
            model: whose parameters.
            learning_rate: the peak.
            weight_decay: of matrices.
            betas: of AdamW.
            clip: largest norm of the group's gradient; None: not clipped.

        Returns:
            The group.

        Raises:
            ValueError: nothing trains.
        """
        return cls(
            name=name,
            parameters=parameter_groups(model, weight_decay),
            learning_rate=learning_rate,
            optimizer=partial(torch.optim.AdamW, betas=betas),
            clip=clip,
        )

    def members(self) -> list[nn.Parameter]:
        """The parameters themselves, in order."""
        found: list[nn.Parameter] = []
        for part in self.parameters:
            if isinstance(part, dict):
                found += part["params"]
            else:
                found.append(part)
        return found

    def build(self) -> torch.optim.Optimizer:
        """The optimizer; each of its `param_groups` remembers its peak rate as "peak_lr"."""
        # An optimizer writes into the dictionaries that it gets: a second one has to start from the same values.
        parts = [dict(part) if isinstance(part, dict) else part for part in self.parameters]
        optimizer = self.optimizer(parts, lr=self.learning_rate)
        for part in optimizer.param_groups:
            part["peak_lr"] = part["lr"]
        return optimizer

    def count(self) -> int:
        """Number of parameters that train."""
        return sum(parameter.numel() for parameter in self.members() if parameter.requires_grad)


def check_groups(models: Mapping[str, nn.Module], groups: Sequence[Group]) -> None:
    """Whether groups and models fit together.

    Args:
        models: by name.
        groups: parameters and their optimizers.

    Raises:
        ValueError: groups without a parameter to train, of the same name, or with parameters in common, and parameters
            that are in no model (a checkpoint would lose them).
    """
    if not groups:
        raise ValueError("nothing to train: give at least one group")
    known = {id(parameter) for model in models.values() for parameter in model.parameters()}
    owner: dict[int, str] = {}
    for number, group in enumerate(groups):
        if group.name in {other.name for other in groups[:number]}:
            raise ValueError(f"two groups are named {group.name!r}")
        if not group.count():
            raise ValueError(f"nothing to train: no parameter of group {group.name!r} requires a gradient")
        for parameter in group.members():
            if id(parameter) not in known:
                raise ValueError(f"group {group.name!r} has a parameter that is in none of the models {sorted(models)}")
            if id(parameter) in owner:
                raise ValueError(f"groups {owner[id(parameter)]!r} and {group.name!r} share a parameter")
            owner[id(parameter)] = group.name


def set_rates(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Set every learning rate to `factor` times its peak."""
    for optimizer in optimizers:
        for part in optimizer.param_groups:
            part["lr"] = part["peak_lr"] * factor
