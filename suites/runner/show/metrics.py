"""What each metric is: its unit, its good direction, the score of a blind guess."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

OF_VALIDATION = "val "
"""Begins the name of a metric of the validation part."""


@dataclass(frozen=True)
class MetricInfo:
    """`unit` is as in records ("share": 0 to 1, shown as per cent); `chance` in words, empty where none is known."""

    text: str
    unit: str
    higher_is_better: bool
    chance: str = ""


_SAMPLES = "of the valid molecules that were generated"

METRICS: Mapping[str, MetricInfo] = {
    "accuracy": MetricInfo("Fraction of right answers.", "share", True, "1 / number of classes or answers"),
    "best-epoch accuracy": MetricInfo(
        "Accuracy of the best epoch by test score, of a training that is watched: how much such a choice flatters.",
        "share",
        True,
        "1 / number of classes or answers",
    ),
    "best-epoch rmse": MetricInfo("As best-epoch accuracy, of rmse, in the unit of the target.", "", False),
    "best-epoch roc_auc": MetricInfo("As best-epoch accuracy, of roc_auc.", "share", True, "0.5"),
    "best-epoch pearson": MetricInfo("As best-epoch accuracy, of Pearson's correlation.", "", True, "0"),
    "adapter_std": MetricInfo(
        "Standard deviation of the trained weights of adapters, of a training that is watched.", "", True
    ),
    "macro_f1": MetricInfo("Mean over the classes of F1: harmonic mean of precision and recall.", "share", True),
    "rmse": MetricInfo("Root of the mean squared error, in the unit of the target.", "", False),
    "roc_auc": MetricInfo("Area under the ROC curve, mean over the columns with both classes.", "share", True, "0.5"),
    "pearson": MetricInfo("Pearson's correlation of prediction and target.", "", True, "0"),
    "spearman": MetricInfo("Spearman's rank correlation of what was wanted and what came out.", "", True, "0"),
    "spearman *": MetricInfo("Spearman's rank correlation for one property.", "", True, "0"),
    "acc": MetricInfo(
        "Fraction of questions whose right answer has the highest likelihood.", "share", True, "1 / number of answers"
    ),
    "acc_norm": MetricInfo(
        "As acc, with the log-likelihood of each answer divided by its length.", "share", True, "1 / number of answers"
    ),
    "gold_nll": MetricInfo(
        "Negative log-probability of the right answer among the answers of its question.", "nats", False, "ln(answers)"
    ),
    "margin": MetricInfo("Log-likelihood of the right answer less that of the likeliest other one.", "nats", True),
    "bits_per_byte": MetricInfo("Bits that the model needs for a byte of text; mean over domains.", "bits/byte", False),
    "bits_per_byte *": MetricInfo("Bits that the model needs for a byte of one domain.", "bits/byte", False),
    "worst domain": MetricInfo("Bits per byte of the domain that the model needs most for.", "bits/byte", False),
    "kl_from_backbone": MetricInfo(
        "Kullback-Leibler divergence of the next token's distribution from the backbone's before any method.",
        "nats",
        False,
    ),
    "same_token": MetricInfo("Fraction of tokens after which it and the backbone have one likeliest.", "share", True),
    "answer_loss": MetricInfo(
        "Negative log-likelihood of a token of an answer; mean over groups.", "nats/token", False
    ),
    "answer_loss *": MetricInfo("Negative log-likelihood of a token of an answer in one group.", "nats/token", False),
    "reload_difference": MetricInfo(
        "Mean difference of the loss after saving and opening in a fresh process; 0 means the same model.",
        "nats/token",
        False,
    ),
    "disk_bytes": MetricInfo("Bytes of all files of the saved model.", "bytes", False),
    "worst group": MetricInfo("Answer loss of the group where it is highest.", "nats/token", False),
    "exact_match": MetricInfo("Fraction of short answers that greedy decoding writes exactly.", "share", True),
    "exact_match *": MetricInfo("Fraction of short answers of one group that come out exactly.", "share", True),
    "accuracy *": MetricInfo(
        "Fraction of right answers to one set of questions.", "share", True, "1 / number of answers"
    ),
    "router_specialisation": MetricInfo(
        "Mutual information of domain and chosen expert, mean over layers.", "bits", True, "0"
    ),
    "router_change": MetricInfo("Norm of what training moved the routers by, over the norm that they had.", "", True),
    "exact": MetricInfo("Fraction of molecules that come back exactly from all their graph words.", "share", True),
    "exact K=*": MetricInfo("Fraction of molecules that come back exactly from the first K words.", "share", True),
    "valid": MetricInfo("Fraction of attempts that are a valid molecule.", "share", True),
    "unique@*": MetricInfo("Fraction of different ones among the first so many valid molecules.", "share", True),
    "FCD/Test": MetricInfo("Fréchet distance of ChemNet activations to MOSES's test set.", "", False),
    "SNN/Test": MetricInfo("Mean Tanimoto similarity to the nearest molecule of the test set.", "", True),
    "Frag/Test": MetricInfo("Cosine of BRICS fragment counts with those of the test set.", "", True),
    "Scaf/Test": MetricInfo("Cosine of Bemis-Murcko scaffold counts with those of the test set.", "", True),
    "IntDiv": MetricInfo(f"One minus the mean Tanimoto similarity of pairs {_SAMPLES}.", "", True),
    "IntDiv2": MetricInfo("As IntDiv, of squared similarities, with their root.", "", True),
    "Filters": MetricInfo("Fraction that passes MOSES's medicinal chemistry filters.", "share", True),
    "logP": MetricInfo("Wasserstein distance of the octanol-water coefficients to the test set's.", "", False),
    "SA": MetricInfo("Wasserstein distance of the synthetic accessibility scores to the test set's.", "", False),
    "QED": MetricInfo("Wasserstein distance of the drug-likeness scores to the test set's.", "", False),
    "weight": MetricInfo("Wasserstein distance of the molecular weights to the test set's.", "Da", False),
    "Novelty": MetricInfo(f"Fraction {_SAMPLES} that the training set does not hold.", "share", True),
    "repaired": MetricInfo("Fraction of attempts that decoding had to change to be valid.", "share", False),
    "draws per kept": MetricInfo("Molecules drawn for each that was kept.", "", False),
    "copies": MetricInfo(f"Fraction {_SAMPLES} that the training set holds.", "share", False),
    "core seconds": MetricInfo("Seconds of one core that training the generator took.", "s", False),
    "steers": MetricInfo("Fraction that hold the wanted scaffold when only their words ask for it.", "share", True),
    "holds": MetricInfo("Fraction of attempts that hold the wanted scaffold, also by starting as it.", "share", True),
    "exact scaffold": MetricInfo("Fraction of attempts whose scaffold is exactly the wanted one.", "share", True),
    "different": MetricInfo("Fraction of different ones among those that hold the scaffold.", "share", True),
    "least spearman": MetricInfo("Rank correlation of the wanted property that follows least.", "", True, "0"),
    "MAE": MetricInfo("Mean absolute error of the wanted property, mean over properties.", "sd", False),
    "MAE *": MetricInfo("Mean absolute error of one property, in standard deviations.", "sd", False),
    "rising": MetricInfo("Fraction of steps of the target in which the mean rises, too.", "share", True, "0.5"),
    "rising *": MetricInfo("Fraction of steps of one property in which the mean rises, too.", "share", True, "0.5"),
}
"""By name; `*` stands for any text."""


def explain(name: str) -> MetricInfo | None:
    """What a metric is; None for one that only its own task knows (a plug-in's)."""
    plain = name.removeprefix(OF_VALIDATION)
    if plain in METRICS:
        return METRICS[plain]
    for pattern, info in METRICS.items():
        if fnmatchcase(plain, pattern):
            return info
    return None
