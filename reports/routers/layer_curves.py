"""The health of routers as curves over layers: what a method leaves in a record whose task does not watch routers.

"router worst expert by layer" and the like have a point (number of the block, value) for each FFN with experts; those
of "router attention" for each attention with experts. They are of one domain, so dead experts are counted, not named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..records.record_limits import RecordError
from .health import LayerNumbers, RouterHealth, layer_name, place_of

Curve = Sequence[tuple[float, float]]
END = "by layer"
_FIELDS = ("experts", "worst expert", "dead experts", "entropy", "load cv2")
_PARTS = {False: "router", True: "router attention"}
"""What names begin with, by whether it is the attention."""


def to_curves(layers: Mapping[str, LayerNumbers], experts: Sequence[int]) -> dict[str, list[tuple[float, float]]]:
    """The curves of layers, by their names in a record ("3", "3 attention"), with their numbers of experts."""
    found: dict[str, list[tuple[float, float]]] = {}
    for (layer, numbers), count in zip(layers.items(), experts, strict=True):
        block, attention = place_of(layer)
        values = (count, numbers.worst, len(numbers.dead), numbers.entropy, numbers.cv2)
        for name, value in zip(_names(attention), values, strict=True):
            found.setdefault(name, []).append((float(block), float(value)))
    return found


def from_curves(curves: Mapping[str, Curve], domain: str) -> RouterHealth | None:
    """What `to_curves` made, of the last link of a chain that has such curves; None where there are none.

    Raises:
        RecordError: some of the curves of a part are missing, or of other layers.
    """
    links = sorted({name.partition("router")[0] for name in curves if name.endswith(END)})
    if not links:
        return None
    last = max(links, key=_number)
    layers: list[str] = []
    experts: list[int] = []
    numbers: list[LayerNumbers] = []
    for attention in _PARTS:
        columns = [curves.get(last + name, ()) for name in _names(attention)]
        blocks = [[block for block, _ in column] for column in columns]
        if any(column != blocks[0] for column in blocks):
            raise RecordError(f"the curves {_PARTS[attention]!r} {END} are not of the same layers")
        for points in zip(*columns, strict=True):
            block, count = points[0]
            worst, dead, entropy, cv2 = (value for _, value in points[1:])
            layers.append(layer_name(int(block), attention))
            experts.append(int(count))
            numbers.append(LayerNumbers(worst, tuple(range(int(dead))), entropy, None, cv2))
    return RouterHealth(tuple(layers), tuple(experts), {domain: tuple(numbers)})


def _names(attention: bool) -> list[str]:
    return [f"{_PARTS[attention]} {field} {END}" for field in _FIELDS]


def _number(link: str) -> int:
    """Of "2. "; 0 where there is one link only."""
    return int(link.partition(".")[0] or 0)
