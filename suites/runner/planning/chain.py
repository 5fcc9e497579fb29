"""The links of a row, with what the row says of training put into them."""

from sparsebench.reports.records.record import Link

from ..discovery.options import options_of
from ..discovery.registry import find
from ..errors import UsageError
from .rows import Row

TRAIN = "train"
"""The option of methods that says what trains (`suites/training/trainable.py`)."""
TUNE = "tune"
"""The method that trains, and transforms nothing."""


def links_of(row: Row) -> list[Link]:
    """The methods of a row with their configs, in order; cells and records hold just these.

    What the row says under `train` trains after the last transform: the last method gets it, if it has such an option,
    else `tune` is one more link. Those before train nothing. Raises `UsageError` for an unknown method, and where a
    method says `train` itself, too.
    """
    if not row.train:
        return list(row.chain)
    links = []
    for number, link in enumerate(row.chain, start=1):
        if TRAIN not in options_of(find("method", link.method)):
            links.append(link)
            continue
        if TRAIN in link.config:
            raise UsageError(f"row {row.label!r} says train twice: {link.method} has one of its own")
        train = row.train if number == len(row.chain) else "none"
        links.append(Link(method=link.method, config={**link.config, TRAIN: train}))
    if TRAIN not in links[-1].config:
        links.append(Link(method=TUNE, config={TRAIN: row.train}))
    return links
