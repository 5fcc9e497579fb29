"""Which parameters of a model had a gradient before its first adapters: each module notes it of its own.

So that it goes where the module goes: into copies and files, up with its block where blocks before it are dropped, and
away with it.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

_ATTRIBUTE = "_sparsebench_trainable"


def note_trainable(model: nn.Module, trains: Callable[[nn.Parameter], bool]) -> None:
    """Note by name, in each module, those of its own parameters that train.

    Args:
        model: the model.
        trains: whether a parameter does.
    """
    for module in model.modules():
        names = tuple(name for name, value in module.named_parameters(recurse=False) if trains(value))
        if names:
            setattr(module, _ATTRIBUTE, names)


def restore_trainable(model: nn.Module) -> None:
    """Give a gradient to what was noted, where it can have one, and to nothing else; the notes go.

    Args:
        model: the model, without adapters.
    """
    model.requires_grad_(False)
    for module in model.modules():
        for name in vars(module).pop(_ATTRIBUTE, ()):
            value = module._parameters.get(name)
            if value is not None and value.is_floating_point():
                value.requires_grad_(True)
