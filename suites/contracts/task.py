"""The contract of a task: data with fixed splits, metrics and a protocol, all under one version number.

A task is one file in `suites/<suite>/tasks/`; the file name is its public name and the first line of its docstring the
caption. A family of near-equal tasks is one file with a table, one row for each (`suites/runner/discovery/table.py`).
Most tasks derive from the protocol of their kind (`suites/prediction/`, `suites/llm/`), which implements `run`, and
state only their data.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sparsebench.reports.record import Costs, Metric, TrainingCosts

from .context import Context
from .method import Method
from .traits import Backbone, TaskTraits

LoadBackbone = Callable[[torch.Generator], Any]
"""Loads the cell's backbone, whatever its suite defines: a `FeatureExtractor` for prediction, a `CausalLM` for
language. The generator is for random initial weights."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A task ready for a method: the loaded backbone, the data for `Method.fit`, and the filled context."""

    model: nn.Module
    data: Any
    context: Context


@dataclass(kw_only=True)
class Outcome:
    """What one run of a task gives; the runner adds the cell, the environment and the provenance."""

    metrics: Mapping[str, Metric]
    main_metric: str
    costs: Costs | None = None
    training: TrainingCosts | None = None
    """What training took; None where nothing was trained."""
    examples: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Per-example outcomes of the test part, in its fixed order."""
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase: load, prepare, fit, evaluate, measure."""
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping that is not a score, as JSON values."""


class Task(TaskTraits, ABC):
    """A benchmarked task. Changed data or a changed metric means a new version."""

    def unsupported(self, backbone: Backbone) -> str | None:
        """Why this task cannot use `backbone`, or None if it can."""
        return None

    @abstractmethod
    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load data and backbone; deterministic by the context's seeds."""

    @abstractmethod
    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Set up, prepare, train and evaluate; selection, if any, on the validation part only."""
