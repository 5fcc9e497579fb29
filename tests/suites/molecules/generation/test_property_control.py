"""Scores of property control: of a sampler that follows, one that does not, and one that writes nothing."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sparsebench.data.molecules.properties import PROPERTIES
from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.property_control import PANEL
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.molecules.generation import property_control
from sparsebench.suites.molecules.generation.property_control import TARGETS, follow_targets

MEAN, DEVIATION = 3.0, 2.0
Make = Callable[..., Generated]


class Chains:
    """Chains whose stand-in "property" is their length; `bias` atoms too many."""

    def __init__(self, make: Make, follow: bool, bias: int = 0, empty: bool = False) -> None:
        self.model = SimpleNamespace(config=SimpleNamespace(properties=dict.fromkeys(PROPERTIES, (MEAN, DEVIATION))))
        self.make = make
        self.follow = follow
        self.bias = bias
        self.empty = empty

    def sample(
        self, n: int, references: Sequence[str], generator: torch.Generator, properties: dict[str, float]
    ) -> list[Generated]:
        (target,) = properties.values()
        atoms = round(target) + self.bias if self.follow else 3
        texts = ["C" * atoms] * (n - 1) + [""]  # one of them cannot be read
        if self.empty and target > MEAN:
            texts = [""] * n
        return [self.make(text) for text in texts]


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every property is the number of atoms."""

    def count(mol: Any) -> list[float]:
        return [float("nan") if mol is None else float(mol.GetNumAtoms())] * len(PROPERTIES)

    monkeypatch.setattr(property_control, "properties", count)


def context() -> Context:
    return Context(suite="molecules", task="property_control", seed=0)


@pytest.mark.usefixtures("lengths")
def test_a_sampler_that_follows_its_targets(generated: Make) -> None:
    targets = [round(MEAN + z * DEVIATION) for z in TARGETS]
    scores = follow_targets(Chains(generated, follow=True, bias=2), 4, context())
    assert scores.main == "least spearman" and scores.metrics["spearman"].value == pytest.approx(1)
    assert scores.metrics["rising"].value == 1 and scores.metrics["rising"].n == 4 * len(PROPERTIES)
    metric = scores.metrics["MAE logp"]
    errors = [abs(atoms + 2 - (MEAN + z * DEVIATION)) / DEVIATION for atoms, z in zip(targets, TARGETS, strict=True)]
    assert metric.value == pytest.approx(sum(errors) / 5) and metric.n == 15 and not metric.higher_is_better
    point = scores.details[PANEL.key]["mw"]["points"][0]
    assert point == [MEAN + TARGETS[0] * DEVIATION, targets[0] + 2.0, targets[0] + 2.0, targets[0] + 2.0]
    assert scores.details[PANEL.key]["mw"]["unit"] == "Da"


@pytest.mark.usefixtures("lengths")
def test_the_main_score_is_of_the_property_that_follows_least(generated: Make) -> None:
    sampler: Any = Chains(generated, follow=True, bias=2)
    follows = sampler.sample

    def sample(*given: Any, properties: dict[str, float]) -> list[Generated]:
        sampler.follow = "qed" not in properties
        return follows(*given, properties=properties)

    sampler.sample = sample
    metrics = follow_targets(sampler, 4, context()).metrics
    assert metrics["least spearman"].value == metrics["spearman qed"].value == 0 < metrics["spearman"].value


@pytest.mark.usefixtures("lengths")
def test_a_sampler_that_ignores_them(generated: Make) -> None:
    scores = follow_targets(Chains(generated, follow=False), 4, context())
    assert scores.metrics["spearman"].value == 0 and scores.metrics["rising"].value == 0


@pytest.mark.usefixtures("lengths")
def test_what_cannot_be_scored(generated: Make) -> None:
    with pytest.raises(ValueError, match="logp: for some target no molecule can be read"):
        follow_targets(Chains(generated, follow=True, empty=True), 4, context())
    deaf = Chains(generated, follow=True)
    deaf.model.config.properties = {}
    with pytest.raises(NotApplicable, match="takes no conditions"):
        follow_targets(deaf, 4, context())
