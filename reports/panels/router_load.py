"""Where a router sends the tokens of each text domain, as a record keeps it in `details["router_load"]`.

A domain is specialised as far as its load differs from the mean load of all domains: the Kullback-Leibler divergence
of its shares from the mean shares, in bits; 0 where every domain is routed alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..record import Record

KEY = "router_load"
Shares = tuple[tuple[float, ...], ...]
"""Per layer the share of the routed tokens that each expert gets; a layer's shares sum to 1."""


@dataclass(frozen=True)
class RouterLoad:
    """The shares of each domain; `layers` are the numbers of the blocks that have a router."""

    layers: tuple[int, ...]
    domains: dict[str, Shares]

    def mean(self, place: int) -> list[float]:
        """Shares of the layer at `place`, averaged over the domains."""
        columns = zip(*(shares[place] for shares in self.domains.values()), strict=True)
        return [math.fsum(column) / len(self.domains) for column in columns]

    def divergence(self, domain: str, place: int) -> float:
        """Divergence of a domain's load in the layer at `place` from the mean load, in bits."""
        pairs = zip(self.domains[domain][place], self.mean(place), strict=True)
        return max(0.0, math.fsum(p * math.log2(p / q) for p, q in pairs if p > 0))

    def specialisation(self, domain: str | None = None) -> float:
        """Divergence averaged over layers, of one domain or of all."""
        domains = self.domains if domain is None else [domain]
        found = [self.divergence(name, place) for name in domains for place in range(len(self.layers))]
        return math.fsum(found) / len(found)

    def strongest(self, domain: str) -> tuple[int, int, float]:
        """The layer where a domain is most specialised, the expert it uses most there, and that expert's share."""
        place = max(range(len(self.layers)), key=lambda p: self.divergence(domain, p))
        shares = self.domains[domain][place]
        expert = max(range(len(shares)), key=shares.__getitem__)
        return self.layers[place], expert, shares[expert]


def to_details(load: RouterLoad) -> dict[str, Any]:
    """As JSON values, small: a layer is a string of shares in per mille."""
    rows = {domain: [_text(layer) for layer in shares] for domain, shares in load.domains.items()}
    return {KEY: {"layers": list(load.layers), "per_mille": rows}}


def router_load(record: Record) -> RouterLoad | None:
    """The load that a record holds, None if it holds none."""
    found: Mapping[str, Any] | None = record.details.get(KEY)
    if found is None:
        return None
    domains = {domain: tuple(map(_shares, layers)) for domain, layers in found["per_mille"].items()}
    return RouterLoad(tuple(found["layers"]), domains)


def merged(loads: Sequence[RouterLoad]) -> RouterLoad | None:
    """The domains of several loads of one model together; None for none. Those of other layers than the first go."""
    if not loads:
        return None
    alike = [load for load in loads if load.layers == loads[0].layers]
    return RouterLoad(loads[0].layers, {domain: shares for load in alike for domain, shares in load.domains.items()})


def _text(shares: Sequence[float]) -> str:
    return " ".join(f"{1000 * share:.1f}" for share in shares)


def _shares(text: str) -> tuple[float, ...]:
    found = [float(number) for number in text.split()]
    return tuple(number / math.fsum(found) for number in found)
