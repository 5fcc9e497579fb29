"""Which parameters of a model had a gradient before its first adapters, and giving it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from torch import nn


class Trained(NamedTuple):
    """A parameter that trained, and where: the module that holds it, and its name there.

    By the module, since blocks may be dropped, so that the names of those behind them change; and by itself, since it
    may be moved to another module.
    """

    module: nn.Module
    name: str
    parameter: nn.Parameter


def trained_in(model: nn.Module, trains: Callable[[nn.Parameter], bool]) -> tuple[Trained, ...]:
    """Its parameters that train.

    Args:
        model: the model.
        trains: whether a parameter does.
    """
    found = []
    for module in model.modules():
        for name, value in module.named_parameters(recurse=False):
            if trains(value):
                found.append(Trained(module, name, value))
    return tuple(found)


def train_again(model: nn.Module, trained: Iterable[Trained]) -> None:
    """Give a gradient to these parameters, and to those that have taken their places; to no other one of the model.

    Args:
        model: the model, without adapters.
        trained: what trained.
    """
    model.requires_grad_(False)
    for module, name, parameter in trained:
        parameter.requires_grad_(True)
        # `load_state_dict(assign=True)` puts others there; what was packed since has no gradient.
        now = dict(module.named_parameters(recurse=False)).get(name)
        if now is not None and (now.is_floating_point() or now.is_complex()):
            now.requires_grad_(True)
