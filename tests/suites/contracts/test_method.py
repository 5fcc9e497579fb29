"""The contract of a method, as one that implements `prepare` alone fulfils it."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class Same(Method):
    strength: float = 1.0

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


def test_a_method_without_hooks_trains_nothing_and_deploys_what_it_prepared() -> None:
    model = nn.Linear(1, 1)
    context = Context(suite="s", task="t", seed=0)
    method = Same()
    assert method.prepare(model, context) is model
    assert method.fit(model, None, context) == {}
    assert method.deploy(model) is model
    assert method.needs == method.gives == frozenset() and method.trains is None and method.backbones() == ()
    assert method.stochastic


def test_equal_configs_are_equal_methods_and_cannot_change() -> None:
    assert Same(strength=2.0) == Same(strength=2.0) != Same()
    with pytest.raises(FrozenInstanceError):
        Same().strength = 2.0  # type: ignore[misc]


def test_prepare_is_what_a_method_must_have() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Method()  # type: ignore[abstract]
