"""The contract of a method: a frozen config and `prepare`, which turns a backbone into the model to be measured.

A method is one file in a room of `suites/methods/`; the file name is its public name and the first line of its
docstring the caption in every table. It defines one class:

    @dataclass(frozen=True, kw_only=True)
    class MyMethod(Method):
        strength: float = 1.0

        def prepare(self, backbone, context):
            ...
            return backbone

Methods that train derive from `sparsebench.suites.training.method.TrainedMethod`, which adds the hooks into training;
those that first transform a model, and train a part of it that is an option, from `suites/methods/shared/_tuned.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from torch import nn

from .context import Context


class NotApplicable(RuntimeError):  # noqa: N818 -- reads as what it says
    """Raised by `Method.prepare` when the loaded backbone turns out to be one that the method cannot work on: "n/a"."""


class WrongBackboneError(ValueError):
    """Raised by `Method.check_backbones` for backbones that a row names together and that do not go together."""


T = TypeVar("T")
Later = Annotated[T, "later"]
"""`name: Later[bool] = False`: an option that came when there were records of the method without it.

Where it has its default, the cell is the one that it was before, so that those records still count for it.
"""

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Named series of (step, value), for instance the training loss."""


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A benchmarked method. Its dataclass fields are its config; equal configs give equal cells."""

    stochastic: ClassVar[bool] = True
    """False if the seed changes nothing about the method: on fixed weights, the plan then runs one seed only."""

    @property
    def needs(self) -> frozenset[str]:
        """Traits that the task must give or the backbone must have (`traits.py`); a missing one is "n/a: reason"."""
        return frozenset()

    @property
    def gives(self) -> frozenset[str]:
        """Traits that the model has after `prepare`, for the next link of a chain (a conversion gives "experts")."""
        return frozenset()

    @property
    def trains(self) -> str | None:
        """What `fit` trains of the model, where that is an option of the method; "none" leaves a new head random."""
        return None

    def backbones(self) -> tuple[str, ...]:
        """Further backbones of the suite, by `name[:argument]`, for `context.load_backbone(name)`: a teacher, say."""
        return ()

    def on(self, data_set: str) -> "Method":
        """The method with the options that it has for a data set of its own.

        Args:
            data_set: the name by which releases know the task (`TaskTraits.published_as`), or "".

        Returns:
            The method; the default is the same one for all.
        """
        return self

    def settled(self, data_set: str) -> Mapping[str, Any] | None:
        """Options that `on` sets, where nothing is to be chosen on the validation part; None where it may choose.

        Args:
            data_set: as for `on`.
        """
        return None

    def beside(self, smaller: str) -> "Method":
        """The method with a further backbone that the cell's own one chooses, where it wants such a one.

        Args:
            smaller: the backbone that goes beside the cell's own one as the smaller of a pair.

        Returns:
            The method; the default is the same one for all.
        """
        return self

    @property
    def wants_smaller(self) -> bool:
        """Whether `beside` is to be called before anything else."""
        return False

    def choices(self) -> "Sequence[Method]":
        """The method with each value of an option that the validation part is to choose; the default chooses nothing.

        They differ in what `fit` does alone: all train what one call of `prepare` returned.
        """
        return ()

    def helpers(self) -> tuple[str, ...]:
        """Those of `backbones()` that only look at the data (a sentence encoder, say) and need no trait of the task's:
        `context.further[name](generator)` loads them as they are.
        """
        return ()

    def check_backbones(self, own: Any, further: Mapping[str, Any]) -> None:  # noqa: B027 -- most have nothing to check
        """Whether the further backbones go with the cell's own one, on tasks where all keep their heads.

        The runner asks methods whose file says `CHECKS_BACKBONES = True` before any cell runs.

        Args:
            own: the cell's backbone, as loaded.
            further: those that `backbones()` names, as loaded.

        Raises:
            WrongBackboneError: they do not go together; the message says why.
        """

    @abstractmethod
    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Turn a backbone into the model to be measured.

        Args:
            backbone: freshly loaded; the method may change it in place.
            context: seeds, budget, calibration data, and the target that the model has to put out.

        Returns:
            The model, which may be the backbone.

        Raises:
            NotApplicable: the loaded backbone is one that the method cannot work on; the cell becomes "n/a".
        """

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Train a model in place. The default does nothing: the method is training-free.

        Args:
            model: what `prepare` returned.
            data: what the task gives to train on: `TrainingData` or a stream; of the test part it has nothing.
            context: with `loss` and `budget`.

        Returns:
            Named series of (step, value).
        """
        return {}

    def fit_best(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """As `fit`, by the best of the candidates where there are some: what a task calls.

        Args:
            model: what `prepare` returned.
            data: as for `fit`.
            context: as for `fit`.

        Returns:
            Named series of (step, value).
        """
        return self.fit(model, data, context)

    def deploy(self, model: nn.Module) -> nn.Module:
        """The model that is evaluated, counted and saved: merge adapters or drop a teacher here.

        Args:
            model: what `fit` trained.
        """
        return model
