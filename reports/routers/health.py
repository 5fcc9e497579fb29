"""What a record keeps of the health of routers: of each layer and domain in `details`, over training in `curves`.

The JSON: `{"layers": ["0", "1", "1 attention"], "experts": "8 8 4", "domains": {"<domain>": {"worst": "1.3 1.6 2",
"dead": {"1": "3 7"}, "entropy": "2.04 1.9 1.3", "token_entropy": "1.2 1.1 -", "cv2": "0.03 0.1 0.5"}}}`. A text has a
number for each layer, "-" where nobody knows it; "dead" has the numbers of the experts, of layers that have such.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records.links import split
from ..records.record_limits import RecordError

KEY = "router_health"
"""The entry of `Record.details`."""
ON_CALIBRATION = "router_health_on_calibration"
"""The entry of the same form that methods note, for tasks that do not watch routers themselves."""
CALIBRATION = "calibration data"
"""Its one domain."""
PRODUCT_RATE = "product_rate"
"""The entry with the operations per second of a large matrix product, where something was trained."""
CV2 = "router cv2"
"""The curve of the squared coefficient of variation of the load, the mean over layers; 0 when it is even."""
BALANCE = "router balance loss"
"""The curve of the sum of the layers' balance losses, coefficients included."""
CLEAN = "router agreement with the clean choice"
"""The curve of the fraction of the choices in training that would be the same without noise."""
START = "router agreement with the start"
"""The curve of the fraction of the choices on held-out text that the model before training made as well."""
CERTAINTY = "router entropy of a token"
"""The curve of the entropy of a token's router softmax on held-out text, as a fraction of that of equal probabilities;
the mean over layers. 1: the router chooses by chance."""
_ATTENTION = " attention"
UNKNOWN = "-"


@dataclass(frozen=True)
class LayerNumbers:
    """One layer on the text of one domain, as `sparsebench.models.moe.routing.health.LayerHealth` says it."""

    worst: float
    dead: tuple[int, ...]
    entropy: float
    token_entropy: float | None
    cv2: float


@dataclass(frozen=True)
class Spread:
    """What a layer has over several domains: mean, lowest and highest."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class RouterHealth:
    """The layers' names ("3", "3 attention": number of the block, and where in it), their numbers of experts, and
    by domain what each does."""

    layers: tuple[str, ...]
    experts: tuple[int, ...]
    domains: dict[str, tuple[LayerNumbers, ...]]

    @property
    def form(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """The layers and their experts: what two healths of one model have in common."""
        return self.layers, self.experts

    def dead(self) -> list[int]:
        """How many experts of each layer no token of any domain chose."""
        found = []
        for place, experts in enumerate(self.experts):
            dead = set(range(experts))
            for numbers in self.domains.values():
                dead &= set(numbers[place].dead)
            found.append(len(dead))
        return found

    def spreads(self, name: str) -> list[Spread]:
        """One field of `LayerNumbers` over the domains, by layer."""
        found = []
        for place in range(len(self.layers)):
            found.append(_spread([getattr(numbers[place], name) for numbers in self.domains.values()], 1.0))
        return found

    def evenness(self) -> list[Spread]:
        """The entropy of the load in per cent of that of an even one, by layer; a single expert is even."""
        found = []
        for place, experts in enumerate(self.experts):
            values = [numbers[place].entropy for numbers in self.domains.values()]
            found.append(Spread(100.0, 100.0, 100.0) if experts == 1 else _spread(values, 100 / math.log(experts)))
        return found


def mean_over_layers(spreads: Sequence[Spread]) -> float:
    """The mean of the means."""
    return math.fsum(spread.mean for spread in spreads) / len(spreads)


def is_of_routers(name: str) -> bool:
    """Whether a curve says what routers do; in a record of a chain the link stands before the name: "2. router cv2"."""
    return split(name)[1].startswith("router ")


def layer_name(block: int, attention: bool) -> str:
    """The name of a layer by the number of its block."""
    return f"{block}{_ATTENTION}" if attention else str(block)


def place_of(layer: str) -> tuple[int, bool]:
    """Number of the block, and whether it is the attention. Raises ValueError for what is no such name."""
    return int(layer.removesuffix(_ATTENTION)), layer.endswith(_ATTENTION)


def to_details(health: RouterHealth) -> dict[str, Any]:
    """As the value of an entry of `Record.details`, small: texts of rounded numbers."""
    domains = {}
    for domain, numbers in health.domains.items():
        dead = {}
        for layer, one in zip(health.layers, numbers, strict=True):
            if one.dead:
                dead[layer] = " ".join(map(str, one.dead))
        domains[domain] = {
            "worst": _text([one.worst for one in numbers]),
            "dead": dead,
            "entropy": _text([one.entropy for one in numbers]),
            "token_entropy": _text([one.token_entropy for one in numbers]),
            "cv2": _text([one.cv2 for one in numbers]),
        }
    experts = " ".join(map(str, health.experts))
    return {"layers": list(health.layers), "experts": experts, "domains": domains}


def from_details(value: Any) -> RouterHealth:
    """What `to_details` made.

    Raises:
        RecordError: numbers that make no sense. A missing key or a wrong type raises what Python raises.
    """
    layers = tuple(value["layers"])
    experts = tuple(map(int, value["experts"].split()))
    for layer in layers:
        place_of(layer)  # raises for what is no name of a layer
    if not layers or len(experts) != len(layers) or min(experts) < 1:
        raise RecordError(f"{value['experts']!r} are no numbers of experts of the layers {list(layers)}")
    if not value["domains"]:
        raise RecordError("there is no domain")
    domains = {domain: _layers(layers, experts, entry) for domain, entry in value["domains"].items()}
    return RouterHealth(layers, experts, domains)


def _layers(layers: Sequence[str], experts: Sequence[int], entry: Mapping[str, Any]) -> tuple[LayerNumbers, ...]:
    columns = {name: map(_number, entry[name].split()) for name in ("worst", "entropy", "token_entropy", "cv2")}
    dead = {layer: tuple(map(int, text.split())) for layer, text in entry["dead"].items()}
    found = []
    rows = zip(layers, experts, *columns.values(), strict=True)
    for layer, count, worst, entropy, token_entropy, cv2 in rows:
        if worst is None or entropy is None or cv2 is None:
            raise RecordError(f"only the token entropy may be unknown, in layer {layer} something else is")
        gone = dead.pop(layer, ())
        if not set(gone) <= set(range(count)):
            raise RecordError(f"dead experts {gone} of layer {layer}, which has {count}")
        found.append(LayerNumbers(worst, gone, entropy, token_entropy, cv2))
    if dead:
        raise RecordError(f"dead experts of {sorted(dead)}, which are no layers")
    return tuple(found)


def _spread(values: Sequence[float], factor: float) -> Spread:
    return Spread(factor * math.fsum(values) / len(values), factor * min(values), factor * max(values))


def _text(numbers: Sequence[float | None]) -> str:
    return " ".join(UNKNOWN if number is None else f"{number:.4g}" for number in numbers)


def _number(word: str) -> float | None:
    if word == UNKNOWN:
        return None
    number = float(word)
    if not 0 <= number < math.inf:
        raise RecordError(f"{word!r} is negative or not finite")
    return number
