"""A joint step of student and teacher against a step of each: one backward pass through both costs nothing more.

The three are timed with the suites' own loop of one step. The joint step may take 1.05 times what the two take one
after the other.
"""

import statistics
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.counting import training_flops
from sparsebench.models.distillation import InverseDistillation, preset
from sparsebench.suites.contracts.freed_memory import freed_memory_kept
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.pair.joint import STUDENT, TEACHER, JointLoss
from sparsebench.suites.training.processes import Processes
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.step import Loss, Stepper

from .groups import Timed, Variant
from .rounds import WALL
from .scope import FULL

CLASSES, RATE = 10, 1e-3
MOST = 1.05
ROUNDS = 15 if FULL else 7
PAIRS: dict[str, tuple[str, str, int, int]] = {
    "ViT-S/16 <- ViT-Ti/16, 64 px": ("vit_small_patch16_224", "vit_tiny_patch16_224", 64, 16),
    "ViT-B/16 <- ViT-S/16, 224 px": ("vit_base_patch16_224", "vit_small_patch16_224", 224, 4),
}
"""Student, teacher, pixels, batch. The second is the pair of the release."""

Batch = tuple[Tensor, Tensor]


def adapted(name: str, size: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, img_size=size, num_classes=CLASSES)
    attach(model, preset("idat_sequential", faithful=True).adapters)
    return model.train()


def own_loss(model: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def stepper(given: Any, models: dict[str, nn.Module], loss: Loss, precision: Any) -> Stepper:
    """Steps of the suites' loop, with an AdamW for each model."""
    groups = [Group.adamw(name, model, learning_rate=RATE, weight_decay=1e-4) for name, model in models.items()]
    settings = TrainSettings(steps=1, precision=precision)
    processes = Processes(torch.device("cpu"))
    return Stepper(given, models, groups, [group.build() for group in groups], loss, settings, processes)


def step(taker: Stepper, batch: Any) -> Callable[[], float]:
    return lambda: taker.step([batch], [1.0], 1.0, 0)[""]


def calls(pair: str, precision: str) -> tuple[dict[str, Callable[[], float]], dict[str, Callable[[], Tensor]]]:
    """The steps of student, teacher and both, and the losses whose operations are counted."""
    student_name, teacher_name, size, count = PAIRS[pair]
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(count, 3, size, size, generator=generator), torch.arange(count) % CLASSES
    student, teacher = adapted(student_name, size), adapted(teacher_name, size)
    alone = {name: adapted(of, size) for name, of in ((STUDENT, student_name), (TEACHER, teacher_name))}
    joint = JointLoss(InverseDistillation(), own_loss, own_loss, CLASSES, teacher_trains=True)
    both = {STUDENT: student, TEACHER: teacher}
    steppers = {name: stepper(model, {name: model}, own_loss, precision) for name, model in alone.items()}
    together = stepper(both, both, joint, precision)
    steps = {name: step(taker, batch) for name, taker in steppers.items()} | {"joint": step(together, (batch, batch))}
    losses: dict[str, Callable[[], Tensor]] = {
        name: lambda taker=taker: taker.losses(batch)[""] for name, taker in steppers.items()
    }
    losses["joint"] = lambda: together.losses((batch, batch))[""]
    return steps, losses


JOINT = "joint"
ROLES = {STUDENT: "reference", TEACHER: "reference", JOINT: "ours"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"] if FULL else ["float32"])
@pytest.mark.parametrize("pair", PAIRS if FULL else list(PAIRS)[:1])
@pytest.mark.parametrize("name", ROLES)
def test_a_joint_step_costs_what_its_two_models_cost(
    name: str, pair: str, precision: str, compare: Callable[..., Timed], target: Any
) -> None:
    made = cache(lambda: variants(pair, precision))
    with freed_memory_kept():  # as in the loop
        group = f"joint step, {pair}, {precision}"
        timed = compare(name, ROLES, lambda name: made()[name], group=group, clock=WALL, rounds=ROUNDS)
    if name == JOINT:
        rounds = zip(timed.seconds[STUDENT], timed.seconds[TEACHER], timed.seconds[JOINT], strict=True)
        ratio = statistics.median(both / (student + teacher) for student, teacher, both in rounds)
        target("times a step of each model", ratio, at_most=MOST)


def variants(pair: str, precision: str) -> dict[str, Variant]:
    steps, losses = calls(pair, precision)
    operations = {name: training_flops(loss) for name, loss in losses.items()}
    assert operations[JOINT] == operations[STUDENT] + operations[TEACHER], "one forward and one backward pass of each"
    return {name: Variant(call=steps[name], role=ROLES[name], facts={"flops": operations[name]}) for name in ROLES}
