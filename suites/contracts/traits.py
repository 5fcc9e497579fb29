"""What methods, tasks and backbones say of each other by traits, and the reasons that follow from a missing one.

A trait is a short text. A backbone has traits ("attention"), a task gives traits ("training data"); a method and a task
need some. Those of a backbone are the literal `TRAITS` of its file, or, where they depend on its argument (`timm:...`),
known when it is loaded: what `sparsebench.models.anatomy` sees, and what its class says of itself (`own_traits`).
"""

import contextlib
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.anatomy import UnknownAnatomy, describe

TRAINING_DATA = "training data"
READY_HEAD = "ready head"
VALIDATION_PART = "validation part"
FEATURE_VECTORS = "feature vectors"
CALIBRATION_DATA = "calibration data"
GENERATION = "generation"
REFERENCES = "reference molecules"
RELEASED_SETTINGS = "settings of releases"

TASK_REASONS = {
    TRAINING_DATA: "this task does not train",
    READY_HEAD: "the head is random without training; the trained baseline is linear_probe",
    VALIDATION_PART: "this task has no validation part, or it is training data in the end",
    FEATURE_VECTORS: "this task has no feature vectors",
    CALIBRATION_DATA: "this task has no calibration data",
    GENERATION: "this task generates nothing",
    REFERENCES: "this task asks for no molecules like others",
    RELEASED_SETTINGS: "released: true, and no release has settings for this task: VTAB-1K's have",
}
"""What it means that a task does not give a trait. The first one that is missing becomes the reason."""

PARAMETERS = "parameters"
BLOCKS = "blocks"
ATTENTION = "attention"
FFN = "ffn"
EXPERTS = "experts"
CONVOLUTIONS = "convolutions"
IMAGE_TOKENS = "image tokens"
CAUSAL = "causal"
FEATURES = "features"
WRITES_MOLECULES = "writes molecules"
GRAPH_WORDS = "graph words"
MESSAGE_PASSING = "message passing"
ADAPTERS = "adapters"

BACKBONE_REASONS = {
    FEATURES: "it gives no feature vectors; take an encoder",
    CAUSAL: "it predicts no next token",
    WRITES_MOLECULES: "it writes no molecules",
    GRAPH_WORDS: "it gives no graph words of molecules",
    IMAGE_TOKENS: "it does not see an image as tokens",
    PARAMETERS: "it has no parameters",
    BLOCKS: "it has no transformer blocks",
    ATTENTION: "it has no attention, and so no transformer blocks",
    FFN: "it has no feed-forward layer to cut",
    EXPERTS: "it has no experts",
    ADAPTERS: "it has no adapters",
    CONVOLUTIONS: "it has no convolutions",
}
"""What it means that a backbone lacks a trait, said of it. The first one that is missing becomes the reason."""

KINDS = (
    (WRITES_MOLECULES, "a molecule generator"),
    (CAUSAL, "a causal LM"),
    (GRAPH_WORDS, "an encoder of molecules"),
    (MESSAGE_PASSING, "a graph network"),
    (IMAGE_TOKENS, "a vision transformer"),
    (ATTENTION, "an encoder"),
    (CONVOLUTIONS, "a convolutional network"),
    (PARAMETERS, "a network without blocks"),
    (FEATURES, "a fingerprint"),
)
"""What a backbone is called in a reason: by the first of these traits that it has."""


@dataclass(frozen=True)
class Backbone:
    """What is known of a backbone before it is loaded.

    Attributes:
        name: `name[:argument]`.
        traits: the literal `TRAITS` of the backbone's file; None where they depend on the argument (`timm:...`).
    """

    name: str
    traits: frozenset[str] | None = None

    @classmethod
    def of(cls, name: str, *traits: str) -> "Backbone":
        """A backbone with these traits."""
        return cls(name, frozenset(traits))


class TaskTraits:
    """Constants of a task, which a method may look at to see whether it can run there."""

    version: ClassVar[str]
    group: str = ""
    """The group whose mean the suite reports, for instance VTAB's natural, specialized or structured."""
    sources: tuple[str, ...] = ()
    """Names of the data sources, as in `data/manifest/`."""
    metric_names: tuple[str, ...] = ()
    """Names of the metrics, the main one first, for `sparsebench show`; `*` stands for a part that differs."""
    gives: ClassVar[frozenset[str]] = frozenset()
    """What a method finds here: the keys of `TASK_REASONS` that are true of the task, or traits of your own."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Traits that a backbone must have to be used here."""

    published_as: str = ""
    """The name by which releases have settings for the task; empty where they have none."""

    @property
    def calibration_choices(self) -> tuple[str, ...]:
        """Text domains among which a budget may choose calibration examples; none where they are training examples."""
        return ()

    watches: ClassVar[bool] = False
    """Whether a budget may ask it to watch training (`Budget.watch`)."""
    rests: ClassVar[bool] = False
    """Whether a budget may train until the row rests (`Budget.rest`): it has a validation part that trains nothing."""
    splits_by_seed: ClassVar[bool] = False
    """Whether the seed of a cell chooses its training, validation and test part: rows of one seed share a split, and
    each row has as many splits as the plan has seeds, whatever the method is."""
    draws: ClassVar[bool] = False
    """Whether the evaluation draws random numbers, so that seeds differ whatever the method is."""


def missing_reason(needs: Iterable[str], has: frozenset[str], backbone: Backbone) -> str | None:
    """Why something cannot run on a backbone, for want of a trait.

    Where the backbone's traits are not known yet, only what a task gives is looked at.

    Args:
        needs: the traits that a method or a task needs.
        has: those that the task gives.
        backbone: the backbone, whose traits may not be known yet.

    Returns:
        The reason, as the tables show it; None if it can run.
    """
    traits = backbone.traits
    missing = set(needs) - has - (traits or frozenset())
    for trait, reason in TASK_REASONS.items():
        if trait in missing:
            return reason
    if traits is None or not missing:
        return None
    for trait, reason in BACKBONE_REASONS.items():
        if trait in missing:
            return f"the backbone is {_kind(traits)}: {reason}"
    return f"{backbone.name} has no {' and no '.join(sorted(missing))}"  # traits of a plug-in


def _kind(traits: frozenset[str]) -> str:
    for trait, name in KINDS:
        if trait in traits:
            return name
    return "a model without traits"


@functools.singledispatch
def own_traits(loaded: Any) -> frozenset[str]:
    """Traits that a class of backbones has in addition to what its anatomy shows; register them next to the class.

    Args:
        loaded: a loaded backbone; its class decides.
    """
    return frozenset()


def traits_of(loaded: object) -> frozenset[str]:
    """Traits of a loaded backbone: of its anatomy, and its own ones.

    Args:
        loaded: a model, or something with a `model`.
    """
    model = _model_of(loaded)
    found = set(own_traits(loaded))
    if model is not None:
        if next(model.parameters(), None) is not None:
            found.add(PARAMETERS)
        # Of a model that no describer knows, no blocks are known either: that is what its traits say.
        with contextlib.suppress(UnknownAnatomy):
            found |= describe(model).traits
    return frozenset(found)


def unknown_anatomy(loaded: object) -> str:
    """ " (why)" where no describer knows the model, which may be all that it lacks; "" where one does."""
    model = _model_of(loaded)
    if model is None:
        return ""
    try:
        describe(model)
    except UnknownAnatomy as error:
        return f" ({error})"
    return ""


def _model_of(loaded: object) -> nn.Module | None:
    model = loaded if isinstance(loaded, nn.Module) else getattr(loaded, "model", None)
    return model if isinstance(model, nn.Module) else None
