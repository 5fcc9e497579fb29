"""How new molecules are scored: by the metrics of MOSES, by how they came about, and by what of them is copied."""

from collections.abc import Mapping
from typing import Any

from sparsebench.reports.panels.molecules import to_details
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..metrics.moses import METRIC_NAMES, moses_metrics, moves_with_number
from ..metrics.reading import copies, read
from .moses import grid
from .sampler import draws_per_kept, repaired_fraction
from .task import GenerationTask

MOLECULES = 1000
NOVEL_NAMES = (*METRIC_NAMES, "repaired", "draws per kept", "copies", "core seconds")
"""What `score_new` gives."""


def score_new(
    task: GenerationTask, subject: Any, context: Context, statistics: Mapping[str, Any] | None = None
) -> Scores:
    """Draw 1,000 molecules, or as many as the budget has test examples, and score them.

    "repaired" is the fraction of molecules in which constraints replaced an edge, "draws per kept" how many were drawn
    for each that was kept, "copies" how much of what came out is in the training set, "core seconds" what training the
    generator took before this cell, where it is known. FCD and some others move with the number of molecules: a row
    that gives fewer, since some cannot be read or there are no more, has none of these, and "valid" is its main metric.

    Args:
        task: whose training molecules, in canonical form, are the references and what is a copy.
        subject: a `Sampler` or `StringSampler`.
        context: the filled context.
        statistics: of the molecules that they should be like, as of `moses_statistics`; None is MOSES's test part.

    Returns:
        The scores, with FCD as the main metric, all molecules by example, and a picture of the first.
    """
    count = context.budget.test_examples or MOLECULES
    references = task.training_molecules(count, context.task_generator("references"))
    generated = subject.sample(count, references, context.task_generator("sampling"))
    smiles = [one.smiles for one in generated]
    known = set(task.training_set())
    metrics = dict(moses_metrics(smiles, training=known, statistics=statistics))
    if len(smiles) < count or metrics["valid"].value < 1:
        metrics = {name: metric for name, metric in metrics.items() if not moves_with_number(name)}
    metrics["repaired"] = repaired_fraction(generated)
    metrics["draws per kept"] = draws_per_kept(generated)
    if any(smiles):
        metrics["copies"] = copies(read(smiles).smiles, known)
    if subject.core_seconds is not None:
        metrics["core seconds"] = Metric(value=subject.core_seconds, higher_is_better=False, unit="s")
    main = "FCD/Test" if "FCD/Test" in metrics else "valid"
    drawn = grid(f"the first of {count:,} molecules, seed {context.seed}", generated)
    return Scores(main, metrics, {"smiles": smiles}, to_details([drawn]))
