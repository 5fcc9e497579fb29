"""The conformance battery that every method passes, in each suite that it serves; plug-ins are checked the same way.

It runs on the first of `TASKS` in the suite, or else of `TRAINING_TASKS`, and the first backbone without downloads that
the method supports.
"""

import copy
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from sparsebench.data.errors import DataError
from sparsebench.models.errors import ModelError

from ...contracts.applicability import reason_against
from ...contracts.budget import Budget
from ...contracts.context import Context, Setup
from ...contracts.method import Method, NotApplicable
from ...contracts.task import Outcome, Task
from ...contracts.traits import EXPERTS, READY_HEAD
from ...training.method import TrainedMethod
from ..discovery.loading import backbone_loader, load_method, load_task
from ..discovery.registry import Entry, entries, find, suites
from ..errors import UsageError
from ..execution.explanation import explain

TASK = "synthetic"
TASKS = (TASK, "synthetic_generation")
"""The second is for methods that need a model that writes molecules."""
TRAINING_TASKS = ("synthetic_mixture", "synthetic_instructions")
"""For methods that go with none of `TASKS` in any suite: those that train a language model on rows of text, of three
domains in the first."""
BUDGET = Budget(epochs=1, batch_size=16, test_examples=16, calibration_examples=32)
MAKES = {EXPERTS: "moe_random", "dynamic layers that mix kernels": "dynamic_conv"}
"""Traits that few backbones without downloads have, and the method that gives them, as the link before."""


@dataclass(frozen=True)
class Case:
    """A method in one suite, with a backbone that it supports.

    A rule may look at what `first` and `probe` keep for all rules, and changes none of it.
    """

    method: Method
    name: str
    suite: str
    backbone: Entry
    task: str = TASK
    before: tuple[Method, ...] = ()
    """Links that make of the backbone what the method needs."""
    _probes: dict[torch.dtype, tuple[Context, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def setup(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Setup:
        """The task; the backbone's own random weights do not depend on the seed."""
        setup = self._task().setup(self._load, self._context(seed, dtype), self._chain)
        model = setup.model
        for link in self.before:
            model = link.deploy(link.prepare(model, setup.context))
        return replace(setup, model=model)

    def run(self) -> Outcome:
        """The task from its data to its scores, for seed 0."""
        return self._task().run(self._chain, self._load, self._context())

    @property
    def _chain(self) -> list[Method]:
        return [*self.before, self.method]

    @property
    def differs_by_itself(self) -> bool:
        """Whether another seed gives another model whatever the method does: by its split, or its random head."""
        task = self._task()
        return task.splits_by_seed or (self.method.trains == "none" and READY_HEAD not in task.gives)

    def _task(self) -> Task:
        return load_task(find("task", self.task, self.suite))

    def _load(self, generator: torch.Generator) -> Any:
        return backbone_loader(self.backbone, self.backbone.name)(torch.Generator().manual_seed(0))

    def _context(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Context:
        further = {name: backbone_loader(find("backbone", name, self.suite), name) for name in self.method.backbones()}
        return Context(suite=self.suite, task=self.task, seed=seed, budget=BUDGET, dtype=dtype, further=further)

    def fitted(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
        """The deployed model after prepare and fit, and its outputs on the first calibration batch."""
        torch.manual_seed(0)
        setup = self.setup(seed, dtype)
        model = self.method.prepare(setup.model, setup.context)
        self.method.fit(model, setup.data, setup.context)
        model = self.method.deploy(model).eval()
        return model, self.outputs(model)

    @functools.cached_property
    def first(self) -> tuple[nn.Module, Tensor]:
        """The fitted model of seed 0 and its outputs, made once for all rules that only look at them."""
        return self.fitted()

    @torch.no_grad()
    def outputs(self, model: nn.Module) -> Tensor:
        """Outputs of shape (B, ...) on a batch that is the same for every seed."""
        context, batch = self.probe(next(iter(model.parameters()), torch.empty(0)).dtype)
        return context.outputs(model, batch).float()

    def probe(self, dtype: torch.dtype = torch.float32) -> tuple[Context, Any]:
        """The context of seed 0, and its first calibration batch: read once for each dtype."""
        if dtype not in self._probes:
            context = self.setup(dtype=dtype).context
            self._probes[dtype] = (context, context.batches()[0])
        return self._probes[dtype]


class NonconformingError(AssertionError):
    """A method breaks a rule of the battery."""


def require(condition: bool, message: str) -> None:
    """Raise a `NonconformingError` unless the condition holds."""
    if not condition:
        raise NonconformingError(message)


def shape(case: Case) -> None:
    """Outputs are finite and keep the batch and output dimensions."""
    _, outputs = case.first
    require(bool(torch.isfinite(outputs).all()), "outputs are not finite")
    expected = case.probe()[0].target.outputs
    require(outputs.shape[-1] == expected, f"last dimension is {outputs.shape[-1]}, the task wants {expected}")


def determinism(case: Case) -> None:
    """The same seed gives bit-identical outputs; another seed gives others exactly if the method is stochastic.

    But a stochastic method whose class says `may_repeat`, since it only chooses among a few parts of the model, may
    choose the same with another seed; and where the task itself gives each seed another split, or a head that nothing
    trains, outputs say nothing of the method.
    """
    first, again, other = case.first[1], case.fitted()[1], case.fitted(seed=1)[1]
    require(torch.equal(first, again), "two runs with one seed differ")
    stochastic = not torch.equal(first, other)
    if case.differs_by_itself or (case.method.stochastic and getattr(case.method, "may_repeat", False)):
        return
    require(stochastic == case.method.stochastic, f"stochastic is {case.method.stochastic}, but seeds say {stochastic}")


def save_and_load(case: Case) -> None:
    """The state dict, loaded into a model prepared again, gives the same outputs."""
    model, outputs = case.first
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    setup = case.setup()
    fresh = case.method.deploy(case.method.prepare(setup.model, setup.context)).eval()
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    require(torch.equal(case.outputs(fresh), outputs), "outputs differ after saving and loading")


def copying(case: Case) -> None:
    """A deep copy gives the same outputs."""
    model, outputs = case.first
    require(torch.equal(case.outputs(copy.deepcopy(model)), outputs), "a deep copy gives other outputs")


def gradients(case: Case) -> None:
    """What is trainable gets a gradient and moves; what is frozen, buffers included, stays bit-identical."""
    if not isinstance(case.method, TrainedMethod):
        return  # training-free
    setup = case.setup()
    if setup.data is None:
        return  # training-free on this task
    model = case.method.prepare(setup.model, setup.context)
    before = copy.deepcopy(model.state_dict())
    case.method.loss(model, setup.context.batches()[0], setup.context).backward()
    for name, parameter in model.named_parameters():
        has = parameter.grad is not None
        require(has == parameter.requires_grad, f"{name}: trainable {parameter.requires_grad}, gradient {has}")
    model.zero_grad(set_to_none=True)
    case.method.fit(model, setup.data, setup.context)
    frozen = set(_frozen_tensors(model))
    for name, tensor in model.state_dict().items():
        if name in frozen:
            require(torch.equal(tensor, before[name]), f"{name} is frozen, but training changed it")
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    moved = [name for name in trained if not torch.equal(model.state_dict()[name], before[name])]
    require(len(moved) > 0, "training moved nothing")


def _frozen_tensors(model: nn.Module) -> Iterator[str]:
    """Names of frozen parameters, and of the buffers that lie beside one (batch statistics)."""
    for prefix, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        names = [name for name, parameter in own.items() if not parameter.requires_grad]
        if names:
            names += [name for name, _ in module.named_buffers(recurse=False)]
        yield from (f"{prefix}.{name}" if prefix else name for name in names)


def bfloat16(case: Case) -> None:
    """The whole path runs in bfloat16, with finite outputs."""
    _, outputs = case.fitted(dtype=torch.bfloat16)
    require(bool(torch.isfinite(outputs).all()), "outputs in bfloat16 are not finite")


BATTERY: tuple[Callable[[Case], None], ...] = (shape, determinism, save_and_load, copying, gradients, bfloat16)


def cases(name: str) -> list[Case]:
    """One case for each suite with a backbone that the method supports. Raises `UsageError` for an unknown method."""
    method = load_method(find("method", name), {})
    for tasks in (TASKS, TRAINING_TASKS):
        found = [case_of(method, name, suite, tasks) for suite in suites()]
        fitting = [case for case in found if case is not None]
        if fitting:
            return fitting
    return []


def case_of(method: Method, name: str, suite: str, tasks: Sequence[str]) -> Case | None:
    """The method on the first of these tasks, and the first backbone without downloads, that it goes with in a suite.

    Args:
        method: with its default options.
        name: of it.
        suite: in which the tasks are.
        tasks: names; those that the suite has not are left out.
    """
    if any(further.partition(":")[0] not in entries("backbone", suite) for further in method.backbones()):
        return None
    for task in (name for name in tasks if name in entries("task", suite)):
        kind = type(load_task(find("task", task, suite)))
        for backbone in _without_download(suite):
            known = backbone.backbone(backbone.name)
            lacking = [trait for trait in method.needs if trait in MAKES and trait not in (known.traits or ())]
            before = tuple(load_method(find("method", MAKES[trait]), {}) for trait in lacking)
            case = Case(method, name, suite, backbone, task, before)
            if reason_against([*before, method], kind, known) is None and _goes_with_further(case):
                return case
    return None


def _goes_with_further(case: Case) -> bool:
    """Whether the further backbones of the method, if it has any, go with this one: only `prepare` sees them all."""
    if not case.method.backbones():
        return True
    setup = case.setup()
    try:
        case.method.prepare(setup.model, setup.context)
    except NotApplicable:
        return False
    return True


def _without_download(suite: str) -> Sequence[Entry]:
    known = [
        e for e in entries("backbone", suite).values() if not e.sources and not e.constant("NEEDS_ARGUMENT", False)
    ]
    return sorted(known, key=lambda entry: (not entry.name.startswith("tiny"), entry.name))


def check_method(name: str, console: Console) -> int:
    """Run the battery and print a line for each suite and rule; how many rules are broken."""
    found = cases(name)
    if not found:
        console.print(f"n/a  {name}: no suite has a backbone without downloads on which it runs alone")
    failures = 0
    for case in found:
        what = f"{case.name} in {case.suite} on {case.backbone.name}"
        for rule in BATTERY:
            failures += report(what, rule.__name__, functools.partial(rule, case), console)
    return failures


def report(what: str, rule: str, run: Callable[[], str | None], console: Console) -> int:
    """Run a rule and print its line, with what it remarks; 1 if it is broken, else 0."""
    try:
        remark = run()
    except Exception as error:  # a plug-in may break in any way; the battery goes on
        is_ours = isinstance(error, NonconformingError | DataError | ModelError | UsageError)
        reason = str(error) if is_ours else explain(error)[1]
        console.print(f"FAIL {what}: {rule}: {reason}", style="red")
        return 1
    console.print(f"ok   {what}: {rule}" + (f" ({remark})" if remark else ""))
    return 0
