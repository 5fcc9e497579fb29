"""Every method passes the conformance battery in every suite that it serves; and the battery can fail."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts.method import Method
from sparsebench.suites.runner.conformance import methods as check
from sparsebench.suites.runner.discovery.registry import entries


@pytest.mark.parametrize("name", entries("method"))
def test_conformance(name: str, subtests: pytest.Subtests) -> None:
    """A method serves some suite, and keeps every rule in each; the rules look at one fitted model."""
    found = check.cases(name)
    assert found
    for case in found:
        for rule in check.BATTERY:
            with subtests.test(suite=case.suite, rule=rule.__name__):
                rule(case)


@dataclass(frozen=True, kw_only=True)
class Untrained(Method):
    """Says that it leaves a new head as it is."""

    @property
    def trains(self) -> str:
        """Nothing."""
        return "none"


@dataclass(frozen=True, kw_only=True)
class Moody(Untrained):
    """Adds fresh noise to the head, whatever the seed."""

    def prepare(self, backbone: nn.Module, context) -> nn.Module:
        noise = torch.empty_like(backbone.head.bias).uniform_(generator=torch.Generator().manual_seed(next(MOODS)))
        backbone.head.bias.data += noise
        return backbone


MOODS = iter(range(100))


@dataclass(frozen=True, kw_only=True)
class Still(Untrained):
    """Says that the seed matters, and changes nothing."""

    def prepare(self, backbone: nn.Module, context) -> nn.Module:
        return backbone


@dataclass(frozen=True, kw_only=True)
class Chooser(Still):
    """Says as well that two seeds may well give the same."""

    may_repeat: ClassVar[bool] = True


def test_only_a_method_that_says_so_may_repeat_itself() -> None:
    (case,) = [case for case in check.cases("dense") if case.suite == "llm"]
    with pytest.raises(check.NonconformingError, match="stochastic is True, but seeds say False"):
        check.determinism(check.Case(Still(), "still", "llm", case.backbone))
    check.determinism(check.Case(Chooser(), "chooser", "llm", case.backbone))


def test_the_battery_finds_a_method_that_is_not_deterministic() -> None:
    (case,) = [case for case in check.cases("full_tuning") if case.suite == "vtab"]
    moody = check.Case(Moody(), "moody", "vtab", case.backbone)
    with pytest.raises(check.NonconformingError, match="two runs with one seed differ"):
        check.determinism(moody)
    with pytest.raises(check.NonconformingError, match="a deep copy gives other outputs"):
        check.copying(check.Case(MoodyForward(), "moody", "vtab", case.backbone))


class Noise(nn.Module):
    """A model whose outputs change at every call."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.inner(inputs) + next(MOODS)


@dataclass(frozen=True, kw_only=True)
class MoodyForward(Untrained):
    """Wraps the model into noise."""

    def prepare(self, backbone: nn.Module, context) -> nn.Module:
        return Noise(backbone)
