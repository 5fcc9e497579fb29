"""What a cell's training took, over its stages."""

import torch
from torch import nn

from sparsebench.suites.contracts.training_costs import TrainingLedger


def test_nothing_was_trained_unless_a_parameter_was() -> None:
    ledger = TrainingLedger()
    assert ledger.costs() is None
    ledger.add(seconds=1.0)
    assert ledger.costs() is None


def test_stages_add_up_and_a_parameter_counts_once() -> None:
    ledger, student, teacher = TrainingLedger(), nn.Linear(3, 2), nn.Linear(4, 2)
    ledger.count([*student.parameters(), *teacher.parameters()])
    ledger.add(seconds=1.0, flops=10.0, steps=2, tokens=5, peak_memory=7)
    ledger.count(student.parameters())
    ledger.add(seconds=0.5, flops=1.0, steps=1, peak_memory=3)
    costs = ledger.costs()
    assert costs is not None
    assert costs.params == 3 * 2 + 2 + 4 * 2 + 2
    assert (costs.seconds, costs.flops, costs.steps, costs.tokens, costs.peak_memory) == (1.5, 11.0, 3, 5, 7)


def test_of_a_parameter_that_is_used_in_part_the_part_counts_once() -> None:
    """Unless an earlier stage has trained all of it."""
    ledger, student, teacher = TrainingLedger(), nn.Linear(3, 2), nn.Linear(4, 2)
    ledger.count_part(student.weight, 2)
    ledger.count(student.parameters())
    ledger.of_teacher().count_part(teacher.weight, 5)
    ledger.count(teacher.parameters())
    ledger.count_part(teacher.bias, 1)
    costs = ledger.costs()
    assert costs is not None and costs.teacher is not None
    assert costs.params == 2 + 2 + 5 + 2 and costs.teacher.params == 5


def test_operations_that_one_stage_did_not_count_are_not_known() -> None:
    ledger = TrainingLedger()
    ledger.count([nn.Parameter(torch.zeros(2))])
    ledger.add(seconds=1.0, flops=10.0)
    ledger.add(seconds=1.0)
    ledger.add(seconds=1.0, flops=10.0)
    costs = ledger.costs()
    assert costs is not None and costs.flops is None and costs.peak_memory is None


def test_a_parameter_is_not_kept_alive_and_its_place_in_memory_may_be_used_again() -> None:
    ledger = TrainingLedger()
    for _ in range(20):
        ledger.count([nn.Parameter(torch.zeros(3))])
    costs = ledger.costs()
    assert costs is not None and costs.params == 60


def test_a_teacher_is_a_part_of_the_whole() -> None:
    """A stage of its own, and its share of one that the whole has already; frozen parameters count in its size."""
    ledger, student, teacher = TrainingLedger(), nn.Linear(3, 2), nn.Linear(4, 2)
    ledger.count(student.parameters())
    assert (costs := ledger.costs()) is not None and costs.teacher is None
    teacher.bias.requires_grad_(False)
    weight = next(teacher.parameters())
    own = ledger.of_teacher()
    assert ledger.of_teacher() is own
    own.size(teacher)
    own.add(seconds=1.0, flops=10.0)
    ledger.count([*student.parameters(), weight])
    ledger.add(seconds=5.0, flops=50.0, steps=2)
    own.attribute(teacher, seconds=2.0, flops=20.0)
    costs = ledger.costs()
    assert costs is not None and costs.teacher is not None
    assert (costs.params, costs.seconds, costs.flops, costs.steps) == (8 + 8, 6.0, 60.0, 2)
    part = costs.teacher
    assert (part.params_total, part.params, part.seconds, part.flops) == (10, 8, 3.0, 30.0)


def test_of_several_trainings_only_the_adopted_one_counts() -> None:
    student, teacher = nn.Linear(2, 3), nn.Linear(2, 1)
    whole = TrainingLedger()
    whole.of_teacher().count(teacher.parameters())
    whole.add(seconds=1.0, flops=10.0, steps=1)
    lost, kept = whole.copy(), whole.copy()
    for ledger, flops in ((lost, 1000.0), (kept, 100.0)):
        ledger.count(student.parameters())
        ledger.add(seconds=1.0, flops=flops, steps=5)
        ledger.of_teacher().add(seconds=0.5, flops=flops / 10, steps=0)
    before = whole.costs()
    assert before is not None and (before.params, before.flops) == (3, 10.0), "copies change nothing"
    whole.adopt(kept)
    whole.of_teacher().add(seconds=0.0, flops=1.0)
    costs = whole.costs()
    assert costs is not None and costs.teacher is not None
    assert (costs.params, costs.flops, costs.steps) == (3 + 9, 10.0 + 100.0 + 10.0 + 1.0, 6)
    assert (costs.teacher.params, costs.teacher.flops) == (3, 10.0 + 1.0)


def test_a_teacher_whose_operations_nobody_counted() -> None:
    ledger, teacher = TrainingLedger(), nn.Linear(4, 2)
    own = ledger.of_teacher()
    own.count(teacher.parameters())
    own.attribute(teacher, seconds=2.0, flops=None)
    costs = ledger.costs()
    assert costs is not None and costs.teacher is not None and costs.params == costs.teacher.params == 10
    assert costs.teacher.flops is None and costs.teacher.params_total is None and costs.flops == 0
