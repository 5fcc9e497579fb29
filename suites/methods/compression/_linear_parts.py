"""What the methods that work on the linear maps of a model's parts have in common: which backbones they can serve."""

from collections.abc import Sequence

from torch import nn

from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.linear_map import Part
from sparsebench.models.errors import ModelError

from ...contracts.method import NotApplicable
from ...contracts.traits import ATTENTION, CALIBRATION_DATA, EXPERTS, FFN

_TRAITS: dict[Part, str] = {
    "experts": EXPERTS,
    "shared": EXPERTS,
    "router": EXPERTS,
    "attention": ATTENTION,
    "ffn": FFN,
}
"""What a backbone needs so that a part can be worked on."""


def traits_for(parts: Sequence[Part], looks_at_data: bool) -> frozenset[str]:
    """The parts, and calibration data where the method looks at inputs."""
    looks: set[str] = set()
    if looks_at_data:
        looks.add(CALIBRATION_DATA)
    return frozenset({_TRAITS[part] for part in parts} | looks)


def check_has_parts(backbone: nn.Module, parts: Sequence[Part]) -> None:
    """Raise `NotApplicable` for a backbone without linear maps in one of the parts."""
    try:
        linear_maps(backbone, parts)
    except ModelError as error:
        raise NotApplicable(str(error)) from error
