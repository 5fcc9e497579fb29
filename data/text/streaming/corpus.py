"""The domains of a user's text together: windows by domain or in fixed shares, counts, and one state for all."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UnknownSource
from ...manifest import near
from ..windows import Tokenizer
from .domain_stream import Counts, DomainStream
from .files import domain_files


@dataclass
class TextCorpus:
    """Token windows of a folder that has a folder of text files for each domain (see `files`).

    ``weights`` are the shares of the domains in what iterating gives, equal ones by default; they need not sum to one.
    The order of domains is fixed: each window comes from the domain that is furthest behind its share. ``field`` names
    the text in lines and rows, ``separator`` stands after each document, and ``repeat`` reads a domain again at its end
    where it would else raise `DryStreamError`. Raises `TextFileError`, and `UnknownSource` for a domain that is not
    there.
    """

    folder: Path | str
    tokenizer: Tokenizer
    length: int
    weights: Mapping[str, float] | None = None
    field: str = "text"
    separator: str = "\n\n"
    repeat: bool = False

    def __post_init__(self) -> None:
        self._streams = {}
        for domain, files in domain_files(self.folder).items():
            self._streams[domain] = DomainStream(
                domain, files, self.tokenizer, self.length, self.field, self.separator, self.repeat
            )
        self._fractions = self._normalised(self.weights)
        self._drawn = dict.fromkeys(self._fractions, 0)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names in alphabetical order."""
        return tuple(self._streams)

    def take(self, domain: str, count: int = 1) -> list[list[int]]:
        """The next ``count`` windows of one domain, each a list of ``length`` token numbers."""
        return self._stream(domain).take(count)

    def __iter__(self) -> Iterator[tuple[str, list[int]]]:
        """Domain and window, without an end: a domain that is used up and not to be repeated is an error."""
        while True:
            domain = self._furthest_behind()
            (window,) = self.take(domain)
            self._drawn[domain] += 1
            yield domain, window

    def counts(self) -> dict[str, Counts]:
        """What was given so far, by domain; a record counts when all its tokens were given."""
        return {domain: stream.counts for domain, stream in self._streams.items()}

    def state_dict(self) -> dict[str, Any]:
        """Where every domain is, and how many windows iterating took from each."""
        streams = {domain: stream.state_dict() for domain, stream in self._streams.items()}
        return {"shares": self._fractions, "drawn": dict(self._drawn), "streams": streams}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go there. Raises ValueError where domains, weights, files, tokenizer or settings have changed."""
        if state["shares"] != self._fractions or list(state["streams"]) != list(self._streams):
            raise ValueError(
                f"the state is of domains with the shares {state['shares']}, not {self._fractions}; "
                "go on with what they were, or start from the beginning without the state"
            )
        for domain, stream in self._streams.items():
            stream.load_state_dict(state["streams"][domain])
        self._drawn = dict(state["drawn"])

    def _stream(self, domain: str) -> DomainStream:
        if domain not in self._streams:
            raise UnknownSource(f"no domain {domain!r} in {self.folder}{near(domain, self._streams)}")
        return self._streams[domain]

    def _furthest_behind(self) -> str:
        total = sum(self._drawn.values()) + 1
        # The first in alphabetical order where several are equally far behind.
        return max(self._fractions, key=lambda domain: self._fractions[domain] * total - self._drawn[domain])

    def _normalised(self, weights: Mapping[str, float] | None) -> dict[str, float]:
        """Shares of the domains that are drawn at all."""
        if weights is None:
            weights = dict.fromkeys(self._streams, 1.0)
        for domain, weight in weights.items():
            self._stream(domain)
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of domain {domain!r} is {weight}; give a number of at least 0")
        total = math.fsum(weights.values())
        if not total:
            raise ValueError("the weights of all domains are 0; give at least one domain a weight")
        return {domain: weights[domain] / total for domain in self._streams if weights.get(domain)}


def count_tokens(
    folder: Path | str, tokenizer: Tokenizer, field: str = "text", separator: str = "\n\n"
) -> dict[str, Counts]:
    """Documents, tokens and bytes of each domain: one pass over all files. Raises as `TextCorpus`."""
    corpus = TextCorpus(folder, tokenizer, length=1, field=field, separator=separator)
    return {domain: corpus._streams[domain].read_all() for domain in corpus.domains}
