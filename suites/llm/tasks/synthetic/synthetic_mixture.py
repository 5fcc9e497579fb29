"""Continual pre-training on letters of a Markov chain, two domains alike and one apart (smoke test only)"""

from typing import Any

from .synthetic_domains import SyntheticDomains

ALIKE = ("forwards", "onwards")


class SyntheticMixture(SyntheticDomains):
    """Needs no download: "forwards" and "onwards" take turns with the documents of one chain, "backwards" reads them
    from the end. A mixture that sees which domains are alike draws the third more often."""

    version = "1"
    domains = (*ALIKE, "backwards")
    calibration_domains = domains

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Every second document of the chain, read backwards in the last domain."""
        documents = super().documents("backwards" if domain == "backwards" else "forwards", part)
        return documents[ALIKE.index(domain) :: 2] if domain in ALIKE else documents[::2]
