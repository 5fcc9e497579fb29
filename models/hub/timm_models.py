"""The class of a changed network of timm, for timm's own savers.

timm writes down the name of an architecture, by which it makes a network again, and the weights. Of a changed network
that would be another one. So a changed network has a class of its own, derived from the one it had, which says what was
changed in `pretrained_cfg`, which timm writes, and an architecture there that timm does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import ModelError
from .derived_classes import derive, source_of
from .parts import folder_parts_in, known_parts, part_of, parts_in

if TYPE_CHECKING:
    from torch.nn import Module as _Source
else:
    _Source = object

FIELD = "sparsebench"
"""In `pretrained_cfg`: `class` (the architecture, as timm knows it), `parts` (by room, what `Part` describes), or
`refused`, why there is no description."""
ARCHITECTURE = "{name} changed by sparsebench, which opens it: sparsebench.models.load(folder)"
"""What `pretrained_cfg` calls a changed network: timm says that it is unknown."""


class ChangedTimm(_Source):
    """What the class of a changed network of timm has in addition to that of the source."""

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """timm's, with what was changed in the network as it is now; a copy."""
        own = vars(self)["pretrained_cfg"]
        return dict(own) | {"architecture": ARCHITECTURE.format(name=timm_name(self)), FIELD: described(self)}

    @pretrained_cfg.setter
    def pretrained_cfg(self, value: dict[str, Any]) -> None:
        vars(self)["pretrained_cfg"] = value


def timm_name(model: nn.Module) -> str | None:
    """The architecture that a network of timm was made as, None for other models.

    Args:
        model: any model.
    """
    if not source_of(type(model)).__module__.startswith("timm."):
        return None
    return (vars(model).get("pretrained_cfg") or {}).get("architecture")


def described(model: nn.Module) -> dict[str, Any]:
    """What was changed in a network of timm, as `FIELD` has it.

    Args:
        model: the network.
    """
    said: dict[str, Any] = {"class": timm_name(model)}
    try:
        own = folder_parts_in(model)
        if own:
            raise ModelError(f"{', '.join(own)} on it: take them off, or write it by sparsebench.models.save")
        return said | {"parts": parts_in(model)}
    except ModelError as error:
        return said | {"refused": str(error)}


def switch_timm_classes(model: nn.Module, room: str) -> None:
    """Give each network of timm in `model`, itself too, with a layer of a room the class for changed ones."""
    holds = part_of(room).holds
    for inner in _networks(model):
        if not isinstance(inner, ChangedTimm) and any(map(holds, inner.modules())):
            inner.__class__ = derive(ChangedTimm, type(inner))


def withdraw_timm_classes(model: nn.Module) -> None:
    """Undo that where no layer of any room is left."""
    for inner in _networks(model):
        if isinstance(inner, ChangedTimm) and not any(
            part.holds(module) for part in known_parts() for module in inner.modules()
        ):
            inner.__class__ = source_of(type(inner))


def _networks(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if timm_name(module) is not None:
            yield module
