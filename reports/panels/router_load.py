"""Where a router sends the tokens of each text domain.

The JSON: `{"layers": [int, ...], "per_mille": {"<domain>": ["<fraction> <fraction> ...", ...]}}`, a text per layer
with the fraction of each expert in per mille.

A domain is specialised as far as its load differs from the mean load of all domains: the Kullback-Leibler divergence
of its fractions from the mean fractions, in bits; 0 where every domain is routed alike.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..figures import Figure, Words, plots
from ..records.record import Record, RecordError
from ..tables import formatting
from .panel import Content, Entry, Panel, by_link, more

Fractions = tuple[tuple[float, ...], ...]
"""Per layer the fraction of the routed tokens that each expert gets; a layer's fractions sum to 1."""
BEFORE = "router_load_before"
"""The entry of the same form that a training notes: the load of the model that it began with, on held-out text."""
MAX_ROWS = 4
LEGEND = (
    "Share of a domain's routed tokens that each expert gets, against an even share; one seed. The load before "
    "training is that of held-out text of the same domains. Specialisation: divergence of a domain's shares from the "
    "mean shares of all domains in bits, mean over layers; 0 means that all domains are routed alike."
)


@dataclass(frozen=True)
class RouterLoad:
    """The fractions of each domain; `layers` are the numbers of the blocks that have a router. `before`: the load of
    the same model before training, where the record says it."""

    layers: tuple[int, ...]
    domains: dict[str, Fractions]
    before: RouterLoad | None = None

    def mean(self, place: int) -> list[float]:
        """Fractions of the layer at `place`, averaged over the domains."""
        columns = zip(*(fractions[place] for fractions in self.domains.values()), strict=True)
        return [math.fsum(column) / len(self.domains) for column in columns]

    def divergence(self, domain: str, place: int) -> float:
        """Divergence of a domain's load in the layer at `place` from the mean load, in bits."""
        pairs = zip(self.domains[domain][place], self.mean(place), strict=True)
        return max(0.0, math.fsum(p * math.log2(p / q) for p, q in pairs if p > 0))

    def specialisation(self, domain: str | None = None) -> float:
        """Divergence averaged over layers, of one domain or of all."""
        domains = list(self.domains) if domain is None else [domain]
        found = []
        for name in domains:
            found += [self.divergence(name, place) for place in range(len(self.layers))]
        return math.fsum(found) / len(found)

    def strongest(self, domain: str) -> tuple[int, int, float]:
        """The layer where a domain is most specialised, the expert it uses most there, and that expert's fraction."""
        place = max(range(len(self.layers)), key=lambda p: self.divergence(domain, p))
        fractions = self.domains[domain][place]
        expert = max(range(len(fractions)), key=fractions.__getitem__)
        return self.layers[place], expert, fractions[expert]


def to_details(load: RouterLoad) -> dict[str, Any]:
    """As an entry of `Record.details`."""
    return {PANEL.key: to_entry(load)}


def to_entry(load: RouterLoad) -> dict[str, Any]:
    """As the value of that entry, small: a layer is a text of fractions in per mille."""
    rows = {domain: [_text(layer) for layer in fractions] for domain, fractions in load.domains.items()}
    return {"layers": list(load.layers), "per_mille": rows}


class RouterLoadPanel(Panel[RouterLoad]):
    """A heat map for each row whose tasks cover two domains or more, and one of the load before training."""

    key = "router_load"

    def entry(self, record: Record) -> Any:
        """The load, and the one before the last training, None where no training noted it."""
        before = by_link(record.details, BEFORE)
        return super().entry(record), before[max(before)] if before else None

    def parse(self, value: Any) -> RouterLoad:
        """The loads of one record. Raises `RecordError` for layers or domains that do not fit each other."""
        load, before = value
        if before is None:
            return self._load(load)
        return replace(self._load(load), before=self._load(before))

    def _load(self, value: Any) -> RouterLoad:
        layers = tuple(value["layers"])
        if not layers or not all(type(layer) is int for layer in layers):
            raise RecordError(f"layers must be whole numbers, at least one, not {value['layers']!r}")
        domains = {domain: tuple(map(_fractions, texts)) for domain, texts in value["per_mille"].items()}
        if not domains:
            raise RecordError("there is no domain")
        forms = {tuple(map(len, fractions)) for fractions in domains.values()}
        if len(forms) > 1 or any(len(form) != len(layers) for form in forms):
            raise RecordError(f"every domain needs {len(layers)} layers, each with the same experts in all domains")
        return RouterLoad(layers, domains)

    def show(self, entries: Sequence[Entry[RouterLoad]]) -> Content | None:
        """The tasks of a row (bits per byte of one domain each, say) make one figure."""
        by_row: dict[str, list[RouterLoad]] = defaultdict(list)
        for entry in entries:
            by_row[entry.title].append(entry.value)
        merged = {name: _merged(loads) for name, loads in by_row.items()}
        several = {name: load for name, load in merged.items() if len(load.domains) > 1}
        if not several:
            return None
        figures = []
        for name, load in list(several.items())[:MAX_ROWS]:
            if load.before is not None:
                figures.append(_figure(f"{name}, before training", load.before))
            figures.append(_figure(name, load))
        legend = LEGEND + more(len(several) - MAX_ROWS, "rows have a router")
        return Content("Router load by domain", tuple(figures), legend=legend)


def _merged(loads: Sequence[RouterLoad]) -> RouterLoad:
    """The domains of several loads of one model together; loads of another shape than the first are not of it."""
    first = loads[0]
    domains: dict[str, Fractions] = {}
    for load in loads:
        if _shape(load) == _shape(first):
            domains |= load.domains
    return replace(first, domains=domains)


def _shape(load: RouterLoad) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The layers, and the number of experts in each."""
    fractions = next(iter(load.domains.values()))
    return load.layers, tuple(map(len, fractions))


def _figure(name: str, load: RouterLoad) -> Figure:
    rows = []
    for domain in load.domains:
        layer, expert, fraction = load.strongest(domain)
        where = f"layer {layer}: expert {expert} gets {formatting.per_cent(fraction)}"
        rows.append((domain, formatting.number(load.specialisation(domain)), where))
    caption = f"Specialisation {formatting.number(load.specialisation())} bits."
    spec = plots.heat_maps(load.domains, load.layers, f"Router load of {name} by domain, layer and expert. {caption}")
    return Figure(name, spec, caption, Words(("domain", "bits", "most its own in"), tuple(rows)))


def _text(fractions: Sequence[float]) -> str:
    return " ".join(f"{1000 * fraction:.1f}" for fraction in fractions)


def _fractions(text: str) -> tuple[float, ...]:
    found = [float(number) for number in text.split()]
    total = math.fsum(found)
    if not 0 < total < math.inf or min(found) < 0:
        raise RecordError(f"{text!r} are no fractions: they must be finite, not negative, and not all 0")
    return tuple(number / total for number in found)


PANEL = RouterLoadPanel()
