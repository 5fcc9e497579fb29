"""Parts of ours conform; the battery finds those that do not."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import further_splits, register_split
from sparsebench.models.moe.routing import kinds
from sparsebench.models.moe.routing.router import Router
from sparsebench.models.moe.splits import Partition, SplitInput
from sparsebench.models.sparsity import scoring
from sparsebench.suites.runner.conformance import parts as check_parts
from sparsebench.suites.runner.conformance.methods import NonconformingError
from sparsebench.suites.runner.conformance.parts import BATTERIES
from sparsebench.suites.runner.discovery.entry import PartKind

CASES = (("router", "mlp"), ("router", "glu"), ("split", "residual"), ("split", "whole"), ("criterion", "snip"))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_conformance(kind: PartKind, name: str, subtests: pytest.Subtests) -> None:
    for rule, run in BATTERIES[kind]:
        with subtests.test(rule=rule):
            run(name)


def test_what_a_rule_remarks() -> None:
    assert check_parts.export_or_refusal("linear") == "as MixtralForCausalLM"
    assert "refused: no stock architecture has a router of the kind 'mlp'" in check_parts.export_or_refusal("mlp")
    assert check_parts.blocks("whole") == "experts share neurons, or miss some"
    assert check_parts.blocks("random") is None


class Short(Router):
    """Rounds its logits, and knows nothing of experts that go."""

    rows = ()
    tensors = ("weight", "idle")

    def __init__(self, config: Any, weight_ND: Tensor) -> None:
        super().__init__(config, weight_ND)
        self.weight = nn.Parameter(weight_ND)
        self.idle = nn.Parameter(weight_ND[0])

    @property
    def num_routed(self) -> int:
        return len(self.weight)

    def logits(self, x_TD: Tensor) -> Tensor:
        return (x_TD @ self.weight.to(x_TD.dtype).T).bfloat16()


def test_a_router_that_breaks_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds.FURTHER, "_found", {"short": Short})
    monkeypatch.setattr(kinds.FURTHER, "_modules", {"short": __name__})
    for rule, message in (
        (check_parts.logits_of_experts, "logits of float32 are torch.bfloat16"),
        (check_parts.gradients, "idle gets no gradient"),
        (check_parts.fewer_experts, "num_routed is 4 after two of four experts went"),
    ):
        with pytest.raises(NonconformingError, match=message):
            rule("short")
    monkeypatch.setattr(Short, "tensors", ("weight",))
    with pytest.raises(ModelError, match=r"a router with further tensors \(idle\).* all its tensors in `rows` and"):
        dict(BATTERIES["router"])["saving"]("short")


def test_a_split_that_is_another_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(further_splits.FURTHER, "_found", {})
    count = itertools.count()

    def split(inp: SplitInput) -> Partition:
        order = torch.randperm(inp.hidden, generator=torch.Generator().manual_seed(next(count)))
        return Partition(shared=order[:0], experts=order.split(list(inp.expert_sizes)))

    register_split("moody", split)
    with pytest.raises(NonconformingError, match="two conversions with one seed differ"):
        dict(BATTERIES["split"])["determinism"]("moody")


def test_a_criterion_that_moves_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring.FURTHER, "_found", {})

    def score(layers: Any, evidence: Any) -> list[Tensor]:
        layers[0].stored.data += 1
        return [torch.arange(layer.stored.numel(), dtype=torch.float32).view_as(layer.stored) for layer in layers]

    scoring.register_criterion("moving", score)
    with pytest.raises(NonconformingError, match="the weights of the model have changed"):
        check_parts.scores("moving")
