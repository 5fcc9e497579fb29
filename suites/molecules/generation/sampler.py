"""How molecules are sampled from a `GraphsGPT`: from a condition, or few-shot from reference molecules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from sparsebench.models.graphsgpt import DecodingConfig, Generated, GraphsGPT, GraphsGPTPipeline, TokenBatch
from sparsebench.models.graphsgpt.decoding.config import SAMPLED
from sparsebench.reports.records.record import Metric

from ...contracts.method import NotApplicable
from ..metrics.fraction import fraction


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """What a `Sampler` does.

    Without `noise` it samples at `temperature` from a condition: a scaffold, properties, or nothing. A molecule with an
    edge that is not allowed is drawn again up to `redraws` times, and repaired after that; 0 repairs at once.
    `use_condition` False ignores what is asked for; `scaffold_prefix` has molecules start as the scaffold. With `noise`
    it samples few-shot: Gaussian noise of that standard deviation is added to the words of reference molecules, and the
    sum is decoded greedily, unless a temperature is given.
    """

    noise: float | None = None
    temperature: float | None = None
    redraws: int = SAMPLED.redraws
    constrained: bool = True
    num_words: int | None = None
    use_condition: bool = True
    scaffold_prefix: bool = True


class Sampler(nn.Module):
    """A model and how molecules are sampled from it."""

    def __init__(self, model: GraphsGPT, config: SamplingConfig | None = None) -> None:
        super().__init__()
        self.model = model
        self.config = config or SamplingConfig()

    def forward(self, batch: TokenBatch) -> Any:
        """What the model says of molecules and their own words."""
        return self.model(batch)

    @property
    def core_seconds(self) -> float | None:
        """What the training of the model took, where it is known."""
        return self.model.core_seconds

    def without_prefix(self) -> "Sampler":
        """The sampler whose molecules do not start as the scaffold that is asked for: it only steers."""
        return Sampler(self.model, replace(self.config, scaffold_prefix=False))

    def pipeline(self) -> GraphsGPTPipeline:
        """The pipeline with the words of this sampler."""
        return GraphsGPTPipeline(self.model, num_words=self.config.num_words)

    def sample(
        self,
        n: int,
        references: Sequence[str],
        generator: torch.Generator,
        scaffold: str | None = None,
        properties: Mapping[str, float] | None = None,
    ) -> list[Generated]:
        """`n` molecules. `references` serve few-shot alone; a condition (scaffold, properties) the other way alone.

        Raises NotApplicable for a model that takes no conditions, unless it samples few-shot.
        """
        if self.config.noise is not None:
            return self._few_shot(n, references, self.config.noise, generator)
        if not self.model.config.properties:
            raise NotApplicable("the model takes no conditions: without references it samples nothing")
        condition: dict[str, Any] = {}
        if self.config.use_condition:
            condition = {"scaffold": scaffold, "properties": properties}
        return self.pipeline().generate(
            n,
            scaffold_prefix=self.config.scaffold_prefix,
            config=self.decoding(),
            generator=generator,
            **condition,
        )

    def _few_shot(self, n: int, references: Sequence[str], noise: float, generator: torch.Generator) -> list[Generated]:
        config = self.decoding(temperature=0.0)
        return self.pipeline().generate(n, reference=references, noise=noise, config=config, generator=generator)

    def decoding(self, temperature: float = SAMPLED.temperature) -> DecodingConfig:
        """How words are decoded, at `temperature` where the configuration gives none."""
        if self.config.temperature is not None:
            temperature = self.config.temperature
        redraws = self.config.redraws if temperature else 0
        return DecodingConfig(constrained=self.config.constrained, temperature=temperature, redraws=redraws)


def valid_fraction(generated: Sequence[Generated]) -> Metric:
    """Fraction of the molecules that can be read and were not cut short."""
    return fraction(sum(one.status == "ok" for one in generated), len(generated))


def draws_per_kept(generated: Sequence[Generated]) -> Metric:
    """Mean number of molecules drawn until one was kept: lower is better, 1 where each was taken as it came."""
    draws = torch.tensor([float(one.draws) for one in generated])
    stderr = float(draws.std() / len(draws) ** 0.5) if len(draws) > 1 else None
    return Metric(value=float(draws.mean()), stderr=stderr, n=len(draws), higher_is_better=False, unit="")


def repaired_fraction(generated: Sequence[Generated]) -> Metric:
    """Fraction of the molecules in which constraints replaced an edge: lower is better."""
    repaired = fraction(sum(one.repaired > 0 for one in generated), len(generated))
    return replace(repaired, higher_is_better=False)
