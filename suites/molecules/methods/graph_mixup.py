"""Mixup of molecules by their graph words, for fine-tuning

GraphsGPT (Gao et al., arXiv 2402.02464, section 4.1; mixup: Zhang et al., arXiv 1710.09412). A molecule and a near
neighbour in the space of their words are mixed, and so are their labels. The paper decodes the mixed words back to
molecules and trains on those (`space="molecules"`); `space="words"` trains the head on the mixed words themselves, with
neighbours within a batch; `space="none"` is the control with as many steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.mixup import draw_fractions, mix, mix_labels, neighbours
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.detokenize import to_smiles
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ...contracts.context import Context
from ...contracts.method import Curves, NotApplicable
from ...contracts.traits import FEATURE_VECTORS, GRAPH_WORDS, TRAINING_DATA
from ...prediction.data import PairedDataset, PredictionData
from ...prediction.feature_extractor import LinearHeadModel
from ...prediction.frozen_features import cache_frozen_features
from ...prediction.task import predict
from ...training.callbacks import KeptGenerator
from ...training.method import TrainedMethod
from ...training.trainable import train_only

CHECKED = 200
"""Training molecules, at most, of which is noted how many come back from their own words."""


@runtime_checkable
class WordBody(Protocol):
    """A body that makes graph words: `words(inputs)` (B, K, D), and perhaps a `generator` that turns them back."""

    generator: GraphsGPT | None
    vocabulary: Vocabulary
    num_words: int

    def words(self, inputs: Any) -> Tensor:
        """Graph words (B, K, D)."""
        ...

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Tokens (L, 4) of each SMILES; L is 0 where it cannot be tokenised."""
        ...


@dataclass(frozen=True, kw_only=True)
class GraphMixup(TrainedMethod):
    """The training loop on molecules mixed with a neighbour; the fraction of the first is Beta(alpha, alpha)."""

    space: Literal["words", "molecules", "none"] = "words"
    """What is mixed: the words that reach the head, molecules before training, or nothing."""
    train: Literal["all", "head"] = "all"
    """What trains: everything (published), or the head on the frozen encoder."""
    alpha: float = 1.0
    """Parameter of Beta(alpha, alpha), which mixing weights are drawn from; 1 is uniform (published)."""
    rank: int = 2
    """Which of the nearest neighbours is the partner; the published code takes the second."""
    self_prob: float = 0.1
    """In the space of molecules, how often a training example is the original instead of a mixed one."""
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.rank < 1:
            raise ValueError(f"alpha={self.alpha} must be above 0 and rank={self.rank} at least 1")
        if not 0 <= self.self_prob <= 1:
            raise ValueError(f"self_prob={self.self_prob} is a probability")

    @property
    def needs(self) -> frozenset[str]:
        """Graph words, which only Graph2Seq gives, and labels to mix."""
        return frozenset({TRAINING_DATA, FEATURE_VECTORS, GRAPH_WORDS})

    @property
    def trains(self) -> str | None:
        """The option."""
        return self.train

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone with all, or the head, trainable. Raises NotApplicable where it cannot decode and must."""
        body = backbone.get_submodule("body")
        if not isinstance(body, WordBody):
            raise NotApplicable(f"{type(body).__name__} gives no graph words of molecules")
        if self.space == "molecules" and body.generator is None:
            raise NotApplicable("the backbone has no decoder that turns mixed words into molecules")
        return train_only(backbone.float(), self.train, context)

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """The training loop, on mixed features or mixed molecules.

        Of the latter with one more curve, "given back": a single point, the fraction of training molecules that come
        back from their own words. Where it is small, mixed molecules are others than their labels say.
        """
        if self.space == "molecules":
            back = given_back(cast(LinearHeadModel, model), data, context)
            data = self._with_mixed_molecules(cast(LinearHeadModel, model), data, context)
            return {**super().fit(model, data, context), "given back": [(0.0, back)]}
        rest, data = cache_frozen_features(model, data, context)
        if self.space == "none":
            return super().fit(rest, data, context)
        draws = context.task_generator("mixup")
        context = replace(context, loss=self._mixing_loss(cast(LinearHeadModel, rest), context, draws))
        return self.train_stage(rest, data, context, further=[KeptGenerator(draws)]).curves

    def _mixing_loss(
        self, model: LinearHeadModel, context: Context, draws: torch.Generator
    ) -> Callable[[nn.Module, Any], Tensor]:
        """The task's loss on mixed features: all pools are linear, so these are features of mixed words."""

        def loss(_: nn.Module, batch: Any) -> Tensor:
            inputs, targets = batch
            features = model.body(inputs)
            if len(features) < 2:
                return context.loss(cast(nn.Module, lambda _: model.head(features)), batch)
            partner = neighbours(features.float(), self.rank)
            fraction = draw_fractions(len(features), self.alpha, draws).to(features.device)
            outputs = model.head(mix(features, features[partner], fraction))
            mixed = mix_labels(targets, targets[partner], fraction, context.target.outputs)
            return context.loss(cast(nn.Module, lambda _: outputs), (inputs, mixed))

        return loss

    def _with_mixed_molecules(self, model: LinearHeadModel, data: PredictionData, context: Context) -> Any:
        """The data, whose training part gives an original with `self_prob`, else any mixed molecule."""
        draws = context.task_generator("mixup")
        pool = mixed_molecules(model, data, context, self.alpha, self.rank, draws)
        if not len(pool):
            return data
        original = cast(PairedDataset, data.train)
        return replace(data, train=OriginalOrMixed(original, pool, self.self_prob, draws))


def mixed_molecules(
    model: LinearHeadModel, data: PredictionData, context: Context, alpha: float, rank: int, draws: torch.Generator
) -> PairedDataset:
    """One mixed molecule for each training molecule with tokens, but those that cannot be decoded, with soft labels.

    Decoding is greedy, constrained where the vocabulary is ours, and by the strict rules where it is the published one.
    """
    body = cast(Any, model.body)
    train = _with_tokens(data.train)
    if len(train) < 2:
        return PairedDataset([], torch.zeros(0))
    words_NKD = _words(body, train, data, context.budget.batch_size)
    partner_N = neighbours(words_NKD, rank)
    fraction_N = draw_fractions(len(words_NKD), alpha, draws)
    smiles = _decoded(body, mix(words_NKD, words_NKD[partner_N], fraction_N), context.budget.batch_size)
    kept = [row for row, text in enumerate(smiles) if text]
    items = body.encode([smiles[row] for row in kept])
    labels = mix_labels(train.targets, train.targets[partner_N], fraction_N, context.target.outputs)
    return PairedDataset(items, labels[kept])


def given_back(model: LinearHeadModel, data: PredictionData, context: Context) -> float:
    """Fraction of the first 200 training molecules with tokens that come back from their own words; 0 without any.

    Args:
        model: whose body has a generator.
        data: with the training part.
        context: the cell's context.
    """
    body = cast(Any, model.body)
    with_tokens = _with_tokens(data.train)
    part = PairedDataset(with_tokens.inputs[:CHECKED], with_tokens.targets[:CHECKED])
    if not len(part):
        return 0.0
    batch_size = context.budget.batch_size
    found = _decoded(body, _words(body, part, data, batch_size), batch_size)
    own = [to_smiles(item.numpy().T, body.vocabulary) for item in part.inputs]
    return sum(one == other for one, other in zip(found, own, strict=True)) / len(own)


def _with_tokens(part: Any) -> PairedDataset:
    """The molecules of a part that have tokens."""
    items = []
    targets = []
    for item, target in part:
        if len(item):
            items.append(item)
            targets.append(target)
    if not items:
        return PairedDataset([], torch.zeros(0))
    return PairedDataset(items, torch.stack(targets))


def _words(body: Any, part: PairedDataset, data: PredictionData, batch_size: int) -> Tensor:
    """Words (N, K, D), float32, on the CPU."""

    class Flat(nn.Module):
        def forward(self, inputs: Any) -> Tensor:
            return body.words(inputs).flatten(1)

    body.eval()
    return predict(Flat(), part, data, batch_size).unflatten(1, (body.num_words, -1))


def _decoded(body: Any, words: Tensor, batch_size: int) -> list[str]:
    """SMILES of mixed words, "" where they are no molecule."""
    vocabulary = body.vocabulary
    device = next(body.parameters()).device
    model = body.generator.to(device).eval()
    config = DecodingConfig(constrained=vocabulary.mode == "improved")
    found = []
    for part in words.split(batch_size):
        found += decode(model, part.to(device), vocabulary, config)
    return [_smiles(result, vocabulary) for result in found]


def _smiles(result: Any, vocabulary: Vocabulary) -> str:
    if result.status == "invalid":
        return ""
    try:
        return to_smiles(result.tokens, vocabulary)
    except ValueError:  # no molecule that RDKit can build
        return ""


class OriginalOrMixed(Sequence[tuple[Any, Tensor]]):
    """As many examples as `original`; each look-up gives it with probability `self_prob`, else any of `mixed`."""

    def __init__(self, original: PairedDataset, mixed: PairedDataset, self_prob: float, draws: torch.Generator) -> None:
        self.original = original
        self.mixed = mixed
        self.self_prob = self_prob
        self.draws = draws

    def __len__(self) -> int:
        return len(self.original)

    def __getitem__(self, index: Any) -> Any:
        if float(torch.rand((), generator=self.draws)) < self.self_prob:
            item, target = self.original[index]
            if not target.is_floating_point():
                target = self._soft(target)
            return item, target
        return self.mixed[int(torch.randint(len(self.mixed), (), generator=self.draws))]

    def state_dict(self) -> dict[str, Tensor]:
        """Where the draws stand."""
        return {"draws": self.draws.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing from there."""
        self.draws.set_state(state["draws"])

    def _soft(self, target: Tensor) -> Tensor:
        return nn.functional.one_hot(target, self.mixed.targets.shape[1]).float()
