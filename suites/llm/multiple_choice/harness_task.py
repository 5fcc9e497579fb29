"""Tasks scored by lm-evaluation-harness: its own task files, prompts and metrics, on packaged documents, zero-shot."""

import io
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsebench.data.text.evalsets import arrow_file
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..language.routing import health_details, watched
from ..language.task import CausalLM, LanguageTask
from .option_likelihoods import NAMES, with_options

if TYPE_CHECKING:
    from datasets import Dataset
    from lm_eval.tasks import TaskManager


class HarnessTask(LanguageTask):
    """Base of the tasks that the harness scores; a subclass names the harness's task and the metrics.

    The first `budget.test_examples` documents of the packaged validation split are scored, without a chat template.
    """

    harness_folder: str
    """Folder of the task file below `lm_eval/tasks`."""
    harness_name: str
    """Name of the task in that file."""
    harness_metrics: tuple[str, ...] = ("acc_norm", "acc")
    """The main one first; acc_norm divides the log-likelihood of an answer by its length in characters."""
    group = "accuracy"

    @property
    def metric_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the harness, and what the likelihoods of the options say."""
        return (*self.harness_metrics, *NAMES)

    def rows(self, limit: int | None) -> "Dataset":
        """The first `limit` documents (all if None), with the columns that the task file reads."""
        from datasets import Dataset

        # In memory: the harness then maps the rows in memory too, and writes no cache file.
        rows = Dataset.from_file(str(arrow_file(self.harness_name)), in_memory=True)
        return rows if limit is None else rows.select(range(min(limit, len(rows))))

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Run the harness; each metric comes with its standard error and its outcome per document."""
        limit = context.budget.test_examples
        (samples, results), routers = watched(subject.model, lambda: run_harness(self, subject, limit))
        chance = sum(1 / len(sample["arguments"]) for sample in samples) / len(samples)
        metrics = {
            name: Metric(
                value=results[f"{name},none"],
                stderr=_number(results[f"{name}_stderr,none"]),
                n=len(samples),
                higher_is_better=True,
                chance=self.chance(chance),
                unit="share",
            )
            for name in self.harness_metrics
        }
        outcomes = {name: [int(sample[name]) for sample in samples] for name in self.harness_metrics}
        health = health_details({context.task: routers}, context)
        found = Scores(self.harness_metrics[0], metrics, outcomes, health)
        scores = [[float(log_likelihood) for log_likelihood, _ in sample["filtered_resps"]] for sample in samples]
        return with_options(found, scores, [sample["gold"] for sample in samples])

    def chance(self, guess: float) -> float | None:
        """Score of a blind guess, given the mean of one over the number of answers."""
        return guess


def run_harness(
    task: HarnessTask, lm: CausalLM, limit: int | None
) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]:
    """Outcome of each document in order, and the aggregated metrics, under the harness's own names.

    To a document's outcome the number of its right option is added, as "gold".
    """
    with quiet():
        from lm_eval.evaluator import evaluate

        from .harness_model import PackedLM

        loaded = load_harness_task(task, limit)
        # bootstrap_iters: any positive number gives accuracies their closed-form standard error.
        report: Any = evaluate(PackedLM(pretrained=lm.model, tokenizer=lm.tokenizer), loaded, bootstrap_iters=1)
    samples = sorted(report["samples"][task.harness_name], key=lambda sample: sample["doc_id"])
    harness_task = loaded["tasks"][task.harness_name]
    samples = [{**sample, "gold": _gold(harness_task, sample["doc"])} for sample in samples]
    return samples, report["results"][task.harness_name]


def load_harness_task(task: HarnessTask, limit: int | None) -> Any:
    """The harness's own task with its documents replaced by ours. Reads one folder of task files, not thousands."""
    overrides = {
        "task": task.harness_name,
        "custom_dataset": lambda **_: {"validation": task.rows(limit)},
        "training_split": None,
        "validation_split": "validation",
        "test_split": None,
        "num_fewshot": 0,
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in task.harness_metrics
        ],
    }
    return _manager(task.harness_folder).load({"group": "sparsebench", "task": [overrides]})


def _gold(task: Any, document: Any) -> int:
    """Number of the right option of a document, as the harness finds it; 0 where there is only one continuation.

    Raises:
        ValueError: what the task file calls the right option is none: the harness would count every answer as wrong.
    """
    if task.OUTPUT_TYPE != "multiple_choice":
        return 0
    # Where the options stand in the middle of the text, it is the text that the task file names by number.
    gold = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
    options = list(task.doc_to_choice(document))
    if isinstance(gold, str) and gold in options:
        return options.index(gold)
    if isinstance(gold, int) and 0 <= gold < len(options):
        return int(gold)
    raise ValueError(f"{task.config.task}: the right option is {gold!r}, which is none of {options}")


def _manager(folder: str) -> "TaskManager":
    import lm_eval
    from lm_eval.tasks import TaskManager

    assert lm_eval.__file__ is not None
    return TaskManager(include_path=str(Path(lm_eval.__file__).parent / "tasks" / folder), include_defaults=False)


@contextmanager
def quiet() -> Iterator[None]:
    """No network, no log lines below errors, and no progress bars unless a person watches."""
    from datasets import config

    logger, offline = logging.getLogger("lm_eval"), config.HF_HUB_OFFLINE
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        config.HF_HUB_OFFLINE = True
        if sys.stderr.isatty():
            yield
        else:
            with redirect_stderr(io.StringIO()):
                yield
    finally:
        config.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


def _number(value: Any) -> float | None:
    """The harness writes "N/A" where it has no standard error, as with one document."""
    return float(value) if isinstance(value, int | float) else None
