"""What examples contribute: it gives the score back, and its variance is that of the score."""

import numpy as np
import pytest
import torch

from sparsebench.reports.statistics import example_scores
from sparsebench.reports.statistics.examples import ExampleScores, subtract
from sparsebench.reports.statistics.sampling import examples_error
from sparsebench.suites.contracts.context import Target
from sparsebench.suites.contracts.metrics import correlations, score

from .simulated import crossed

N = 400


def outcomes(kind: str, seed: int = 0):
    """Main metric and per-example outcomes of a task of this kind, as the suites give them."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "classification":
        outputs = torch.randn(N, 3, generator=generator)
        targets = torch.randint(3, (N,), generator=generator)
    else:
        outputs = torch.randn(N, 1, generator=generator)
        targets = outputs + torch.randn(N, 1, generator=generator)
        if kind == "binary":
            targets = (targets > 0).float()
    found = score(outputs, targets, Target(kind, 3 if kind == "classification" else 1), generator)
    return found, (outputs, targets, generator)


@pytest.mark.parametrize("kind", ["classification", "regression", "binary"])
def test_the_examples_of_the_suites_scores_give_score_and_standard_error_back(kind: str) -> None:
    found, _ = outcomes(kind)
    metric = found.metrics[found.main]
    examples = example_scores(found.main, metric.value, found.examples)
    assert examples is not None
    assert examples.total() == pytest.approx(metric.value, rel=1e-5)
    part = examples_error([examples]).whole
    # The binary one is DeLong's against a bootstrap of 200 draws.
    assert part.variance**0.5 == pytest.approx(metric.stderr, rel=0.15 if kind == "binary" else 1e-4)
    two_of_each = {"score": [0.1, 0.2, 0.3, 0.4], "target": [0.0, 0.0, 1.0, 1.0]}
    assert example_scores("roc_auc", 1.0, two_of_each) is not None


def test_several_columns_with_unknown_values_give_their_score_back() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(N, 3, generator=generator)
    targets = outputs + torch.randn(N, 3, generator=generator)
    targets[torch.rand(N, 3, generator=generator) < 0.3] = torch.nan
    targets[0] = torch.nan
    found = score(outputs, targets, Target("regression", 3), generator)
    examples = example_scores("rmse", found.metrics["rmse"].value, found.examples)
    assert examples is not None and len(examples.values) == N
    part = examples_error([examples]).whole
    assert part.variance**0.5 == pytest.approx(found.metrics["rmse"].stderr, rel=0.1)
    assert subtract(examples, examples).total() == 0
    other = example_scores(
        "rmse", (1.5 / 3) ** 0.5, {"prediction": [[1, 0], [0, 0]], "target": [[0, None], [0.5, 0.5]]}
    )
    moved = example_scores("rmse", 0.5**0.5, {"prediction": [[1, 0], [0, 0]], "target": [[None, 1], [0.5, 0.5]]})
    assert other is not None and moved is not None and subtract(other, moved) is None, "other values are known"


def test_a_correlation() -> None:
    found, (outputs, targets, generator) = outcomes("regression")
    metric = correlations(outputs, targets, generator)["pearson"]
    examples = example_scores("pearson", metric.value, found.examples)
    assert examples is not None
    part = examples_error([examples]).whole
    assert part.variance**0.5 == pytest.approx(metric.stderr, rel=0.15)


def test_a_comparison_with_the_backbone_is_the_mean_over_domains_whose_documents_are_not_those_of_another() -> None:
    columns = {
        "domain": ["law"] * 3 + ["code"] * 2,
        "cluster": [0, 0, 1, 0, 1],
        "kl_nats": [2.0, 4.0, 3.0, 8.0, 4.0],
        "same_tokens": [5, 5, 8, 2, 4],
        "compared_tokens": [10, 10, 10, 10, 20],
    }
    for metric, value in (("kl_from_backbone", (0.3 + 0.4) / 2), ("same_token", (0.6 + 0.2) / 2)):
        examples = example_scores(metric, value, columns)
        assert examples is not None and len(examples.weights) == 2
        assert examples.clusters is not None and examples.total() == pytest.approx(value)


def test_bits_per_byte_are_a_ratio_of_sums_and_their_mean_over_domains() -> None:
    generator = np.random.default_rng(0)
    bytes_N = generator.integers(100, 900, 60)
    bits_N = bytes_N * generator.uniform(0.8, 1.2, 60)
    columns = {"bits": bits_N.tolist(), "bytes": bytes_N.tolist()}
    ratio = bits_N.sum() / bytes_N.sum()
    whole = example_scores("bits_per_byte", ratio, columns)
    assert whole.total() == pytest.approx(ratio)
    assert np.corrcoef(whole.values, bits_N - ratio * bytes_N)[0, 1] > 0.99, "too many bits raise the score"
    domains = [("code", "law", "news")[number % 3] for number in range(60)]
    mean = np.mean([bits_N[i::3].sum() / bytes_N[i::3].sum() for i in range(3)])
    examples = example_scores("bits_per_byte", mean, columns | {"domain": domains})
    assert examples.total() == pytest.approx(mean)
    bootstrap = []
    for _ in range(2000):
        rows = [i + 3 * generator.integers(0, 20, 20) for i in range(3)]
        bootstrap.append(np.mean([bits_N[r].sum() / bytes_N[r].sum() for r in rows]))
    part = examples_error([examples]).whole
    assert part.variance**0.5 == pytest.approx(np.std(bootstrap), rel=0.1)
    answers = {"nats": columns["bits"], "tokens": columns["bytes"], "group": domains}
    same = example_scores("answer_loss", mean, answers)
    assert np.array_equal(same.values, examples.values) and np.array_equal(same.strata, examples.strata)
    parts = answers | {"part": ["outside" if name == "news" else "inside" for name in domains]}
    for part, places in (("inside", (0, 1)), ("outside", (2,))):
        mean = np.mean([bits_N[i::3].sum() / bytes_N[i::3].sum() for i in places])
        alone = example_scores(f"answer_loss {part}", mean, parts)
        kept = np.isin(np.arange(60) % 3, places)
        assert len(alone.values) == 20 * len(places) and alone.weights == (1 / len(places),) * len(places)
        assert np.array_equal(alone.values, examples.values[kept])


def test_the_document_of_a_window_is_its_cluster() -> None:
    columns = {"bits": [1.0, 2.0, 3.0, 4.0], "bytes": [1, 1, 1, 1], "cluster": [0, 0, 7, 9]}
    examples = example_scores("bits_per_byte", 2.5, columns)
    assert examples.clusters.tolist() == [0, 0, 1, 2]
    older = example_scores("bits_per_byte", 2.5, {name: columns[name] for name in ("bits", "bytes")})
    assert older.clusters is None
    assert subtract(examples, older).clusters.tolist() == [0, 0, 1, 2]
    parts = columns | {"part": ["old", "new", "new", "new"]}
    alone = example_scores("bits_per_byte new", 3.0, parts)
    assert alone.clusters.tolist() == [0, 1, 2], "the second window is of the first document still"
    of_others = {"acc": [1, 0, 1], "cluster": [0, 0, 1, 1]}
    assert example_scores("acc", 2 / 3, of_others).clusters is None


@pytest.mark.parametrize(
    ("metric", "value", "columns"),
    [
        ("FCD/Test", 3.5, {"smiles": ["C", "CC"]}),
        ("accuracy", 0.9, {"correct": [1, 0]}),
        ("answer_loss outside", 1.0, {"nats": [1, 1], "tokens": [1, 1], "group": ["a", "b"]}),
        ("answer_loss nowhere", 1.0, {"nats": [1], "tokens": [1], "group": ["a"], "part": ["inside"]}),
        ("accuracy", 0.5, {"correct": ["yes", "no"]}),
        ("accuracy", 0.5, {"correct": [[1], [0]]}),
        ("accuracy", 1.0, {"correct": [1]}),
        ("rmse", 1.0, {"prediction": [[1.0, 2.0]], "target": [[1.0, None]]}),
        ("rmse", 0.0, {"prediction": [[1.0], [2.0]], "target": [[1.0], [2.0]]}),
        ("rmse", 2**0.5, {"prediction": [[1.0, 2.0], [3.0, 4.0]], "target": [1.0, 2.0]}),
        ("roc_auc", 0.5, {"score": [[0.1], [0.2]], "target": [[1.0], [1.0]]}),
        ("roc_auc", 1.0, {"score": [0.1, 0.2, 0.3], "target": [0.0, 0.0, 1.0]}),
        ("bits_per_byte", 1.0, {"bits": [1.0, 2.0], "bytes": [1]}),
        ("acc", 0.5, {}),
    ],
)
def test_what_does_not_make_the_score_up_is_not_used(metric: str, value: float, columns: dict) -> None:
    assert example_scores(metric, value, columns) is None


def test_a_column_of_the_metrics_name_is_a_mean_of_a_plug_ins_task_too() -> None:
    assert example_scores("acc_norm", 0.75, {"acc": [0, 0, 1, 1], "acc_norm": [1, 0, 1, 1]}).total() == 0.75


def test_a_large_score_may_be_off_by_more_than_a_small_one() -> None:
    """The tolerance is relative above 1: examples are kept as float32."""
    columns = {"perplexity": [1000.0, 3000.0]}
    assert example_scores("perplexity", 2000.1, columns) is not None
    assert example_scores("perplexity", 2000.3, columns) is None


def test_the_part_of_the_examples_is_that_of_the_two_way_model() -> None:
    """Averaged over draws: the variance of the mean, less what is in the variance between seeds as well."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(400):
        values_SN = crossed(generator, 4, 25, (0.5, 1.0, 2.0))
        none = np.zeros(25)
        rows = [ExampleScores(values_N, none.astype(int), (1.0,), none) for values_N in values_SN]
        error = examples_error(rows)
        found.append((error.shared.variance, error.whole.variance))
    beside, alone = np.mean(found, axis=0)
    assert alone == pytest.approx((1 + 4 / 4) / 25, rel=0.1)
    assert beside == pytest.approx(1 / 25, rel=0.15)  # a little more: it is never below zero


def test_only_the_same_examples_are_subtracted() -> None:
    def of(metric: str, values: list, targets: list) -> ExampleScores:
        columns = {"prediction": values, "target": targets}
        rmse = float(np.sqrt(np.mean((np.array(values) - targets) ** 2)))
        return example_scores(metric, rmse, columns)

    ours, theirs = of("rmse", [1.0, 2.0, 4.0], [0.0, 0.0, 1.0]), of("rmse", [2.0, 2.0, 2.0], [0.0, 0.0, 1.0])
    assert subtract(ours, theirs).total() == pytest.approx(ours.total() - theirs.total())
    assert subtract(ours, of("rmse", [2.0, 2.0, 2.0], [0.0, 1.0, 0.0])) is None
    assert subtract(ours, of("rmse", [2.0, 2.0], [0.0, 1.0])) is None
    assert subtract(ours, None) is None
