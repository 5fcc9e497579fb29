"""A task of two toy domains, for the tests of the language suite."""

from typing import Any

from sparsebench.suites.llm._markov import markov_documents
from sparsebench.suites.llm.bits_per_byte.domains import DomainsTask


class LetterDomains:
    """Two domains that need no download: the chain's letters, and the letter a alone."""

    version = "1"
    sources = ()
    domains = ("chain", "monotonous")
    calibration_domains = ("chain",)

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        return markov_documents(part) if domain == "chain" else ("a" * 20000,)


class Letters(LetterDomains, DomainsTask):
    pass
