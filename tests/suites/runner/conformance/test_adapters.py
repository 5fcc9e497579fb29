"""Kinds of ours conform; each rule finds a kind that breaks it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterConfig
from sparsebench.models.adapters.config import KINDS
from sparsebench.models.adapters.initialisation import adapter_dtype
from sparsebench.models.adapters.layer import AdapterLayer
from sparsebench.models.anatomy import Block, Site
from sparsebench.models.errors import ModelError
from sparsebench.suites.runner.conformance import adapters as check
from sparsebench.suites.runner.conformance.methods import NonconformingError

RULES = {rule.__name__: rule for rule in check.BATTERY}


@pytest.mark.parametrize("name", ["FusionConfig", "SSFConfig", "StreamConfig"])
def test_conformance(name: str, subtests: pytest.Subtests) -> None:
    """One that is built on others, one that merges, and one of images."""
    for name_of_rule, rule in RULES.items():
        with subtests.test(rule=name_of_rule):
            rule(name)


def test_what_merging_remarks() -> None:
    assert check.merging("SSFConfig") is None
    assert "does not merge: PrefixLayer is not linear in its input" in str(check.merging("PrefixConfig"))


class GainLayer(AdapterLayer):
    """The output of a linear layer, times one factor."""

    linear = True

    def __init__(self, base_layer: nn.Module, flaw: str) -> None:
        super().__init__(base_layer)
        like = next(base_layer.parameters())
        self.flaw = flaw
        self.gain = nn.Parameter(torch.zeros((), dtype=adapter_dtype(like)))
        if flaw == "saving":
            self.forgotten = next(COUNT)
        if flaw == "gradients":
            self.idle = nn.Parameter(torch.zeros(()))
        if flaw == "removal":
            like.data += 1

    def adapted(self, *args: Any, **keywords: Any) -> Tensor:
        y = self.base_layer(*args, **keywords)
        if self.flaw == "bfloat16" and y.dtype == torch.bfloat16:
            y = y / 0
        return y * (1 + self.gain).to(y.dtype) + getattr(self, "forgotten", 0)

    def merge_into(self, base_layer: nn.Module) -> None:
        assert isinstance(base_layer, nn.Linear)
        base_layer.weight *= 1 if self.flaw == "merging" else 1 + self.gain


@dataclass(frozen=True, kw_only=True)
class Gain(AdapterConfig):
    """Puts it around what the FFN puts out."""

    flaw: ClassVar[str] = ""

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        if block.mlp is None or block.mlp.down is None:
            raise ModelError("no FFN here")
        yield block.mlp.down, GainLayer(block.mlp.down.get(), self.flaw)


COUNT = iter(range(100))
del KINDS["Gain"]


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("removal", "switched off, it changes outputs"),
        ("saving", "outputs differ after saving and loading"),
        ("merging", "merged, it computes something else"),
        ("gradients", "idle: its own True, gradient False"),
        ("bfloat16", "outputs in bfloat16 are not finite"),
    ],
)
def test_a_kind_that_breaks_a_rule(flaw: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "Gain", Gain)
    RULES[flaw]("Gain")
    monkeypatch.setattr(Gain, "flaw", flaw)
    with pytest.raises(NonconformingError, match=message):
        RULES[flaw]("Gain")


def test_a_kind_that_cannot_be_made_or_has_no_place_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "OPTIONS", {})
    with pytest.raises(NonconformingError, match=r"ombinedConfig\(\) cannot be made: give parts a default"):
        check.removal("CombinedConfig")
    monkeypatch.setattr(check, "MODELS", [check.llama])
    with pytest.raises(NonconformingError, match="goes on none of"):
        check.removal("ConvConfig")
