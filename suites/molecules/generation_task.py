"""The protocol of tasks that generate molecules: what draws them, and how a cell runs.

A backbone here is a `GraphsGPT`. A method may change it (experts in the place of FFNs, say), and may wrap it in a
`Sampler` that says how molecules are drawn; a bare model is drawn by request at temperature 1.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt import DecodingConfig, Generated, GraphsGPT, GraphsGPTPipeline, TokenBatch, Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..contracts.context import Context, Target
from ..contracts.costs import Clock, measure_costs
from ..contracts.method import Method, NotApplicable
from ..contracts.metrics import Scores
from ..contracts.task import LoadBackbone, Outcome, Setup, Task
from ..contracts.traits import Backbone

FAMILY = "molecule generator"
COST_MOLECULES = 32
"""Molecules of the one forward pass, of both halves, whose operations and CPU time are reported."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a `Sampler` draws: by request at `temperature`, or few-shot, from the words of reference molecules with
    Gaussian `noise`, then greedily unless a temperature is given. `heed` False leaves out what is asked for;
    `keep_scaffold` has molecules start as the scaffold that is asked for."""

    noise: float | None = None
    temperature: float | None = None
    constrained: bool = True
    num_words: int | None = None
    heed: bool = True
    keep_scaffold: bool = True


class Sampler(nn.Module):
    """A model and how molecules are drawn with it."""

    def __init__(self, model: GraphsGPT, drawing: Drawing | None = None) -> None:
        super().__init__()
        self.model, self.drawing = model, drawing or Drawing()

    def forward(self, batch: TokenBatch) -> Any:
        """What the model says of molecules and their own words."""
        return self.model(batch)

    def pipeline(self) -> GraphsGPTPipeline:
        """The pipeline with the words of this drawing."""
        return GraphsGPTPipeline(self.model, num_words=self.drawing.num_words)

    def draw(
        self,
        n: int,
        references: Sequence[str],
        generator: torch.Generator,
        scaffold: str | None = None,
        properties: Mapping[str, float] | None = None,
    ) -> list[Generated]:
        """`n` molecules. `references` serve few-shot alone; a request (scaffold, properties) the other way alone.

        Raises NotApplicable for a model that takes no requests, unless it draws few-shot.
        """
        drawing = self.drawing
        if drawing.noise is None and not self.model.config.properties:
            raise NotApplicable("the model takes no requests: without references it draws nothing")
        heat = (1.0 if drawing.noise is None else 0.0) if drawing.temperature is None else drawing.temperature
        config = DecodingConfig(constrained=drawing.constrained, temperature=heat)
        if drawing.noise is not None:
            noise = drawing.noise
            return self.pipeline().generate(n, reference=references, noise=noise, config=config, generator=generator)
        asked: dict[str, Any] = {"scaffold": scaffold, "properties": properties} if drawing.heed else {}
        keep = drawing.keep_scaffold
        return self.pipeline().generate(n, scaffold_prefix=keep, config=config, generator=generator, **asked)


class GenerationTask(Task):
    """Base of the generation tasks; a subclass implements `molecules` and `evaluate`."""

    few_shot: ClassVar[bool] = False
    """Whether molecules drawn from reference molecules mean something here."""

    def unsupported(self, backbone: Backbone) -> str | None:
        """Only GraphsGPT writes molecules."""
        return None if backbone.family == FAMILY else "the backbone writes no molecules"

    @abstractmethod
    def training_molecules(self, count: int, generator: torch.Generator) -> list[str]:
        """`count` random training molecules: for calibration, for costs and as references."""

    @abstractmethod
    def evaluate(self, sampler: Any, context: Context) -> tuple[Scores, Mapping[str, Any]]:
        """Scores of a sampler, whose model is in eval mode, and details for the record."""

    def data(self, model: GraphsGPT, context: Context) -> Any:
        """What `Method.fit` trains on: nothing, unless the task trains."""
        return None

    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load the backbone, and what a method may see."""
        model = load_backbone(context.generator("backbone-init"))
        if not isinstance(model, GraphsGPT):
            raise TypeError(f"a backbone of a generation task must be a GraphsGPT, not {type(model).__name__}")
        model = cast(Any, model).to(context.device).eval()
        data = self.data(model, context)
        return Setup(model=model, data=data, context=self._fill(model, context))

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Load, prepare, fit, evaluate, measure."""
        clock = Clock()
        setup = self.setup(load_backbone, context)
        context = setup.context
        clock.stop("load")
        model = method.prepare(setup.model, context)
        clock.stop("prepare")
        curves = method.fit(model, setup.data, context)
        model = method.deploy(model).eval()
        clock.stop("fit")
        scores, details = self.evaluate(Sampler(model) if isinstance(model, GraphsGPT) else model, context)
        clock.stop("evaluate")
        inner = cast(GraphsGPT, model if isinstance(model, GraphsGPT) else model.model)
        batch = self._batches(inner, context, COST_MOLECULES, "costs")[0]
        costs = measure_costs(inner, lambda network: network(batch), len(batch), "molecule")
        clock.stop("measure")
        return Outcome(
            metrics=scores.metrics,
            main_metric=scores.main,
            costs=costs,
            examples=scores.examples,
            times=clock.seconds,
            curves=curves,
            details=details,
        )

    def _fill(self, model: GraphsGPT, context: Context) -> Context:
        batches = self._batches(model, context, context.budget.calibration_examples, "calibration")
        return replace(
            context,
            target=Target("next-edge", 1 + model.config.num_bonds),
            batches=lambda: batches,
            loss=reconstruction_loss,
        )

    def _batches(self, model: GraphsGPT, context: Context, count: int, axis: str) -> list[TokenBatch]:
        """Training molecules, the same for every method of a seed, `batch_size` at a time."""
        smiles = self.training_molecules(count, context.generator(axis))
        tokens = Tokenizer(own_vocabulary(model))(smiles)
        rows = torch.from_numpy(tokens.ok).split(context.budget.batch_size)
        return [tokens.batch(part.numpy()).to(context.device) for part in rows]


def reconstruction_loss(model: nn.Module, batch: TokenBatch) -> Tensor:
    """The losses of a batch of molecules that are to be written from their own words, summed."""
    return model(batch).loss


def own_vocabulary(model: GraphsGPT) -> Vocabulary:
    """The vocabulary that the model's configuration names."""
    return Vocabulary.from_dict(model.config.vocabulary or {})
