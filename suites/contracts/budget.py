"""How much work one cell may do."""

import math
from dataclasses import dataclass, replace
from typing import Literal

DURATIONS = ("epochs", "steps", "tokens")
"""Units of the duration of training; a budget has exactly one of them."""
DEFAULT_EPOCHS = 10
DEFAULT_DOUBLINGS = 4
Watched = Literal["test", "adapters"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much work one cell may do; part of the cell's identity.

    Training lasts exactly one of `epochs`, `steps` and `tokens`: 10 epochs where none is given. Tasks that do not train
    use none of them.

    Raises:
        ValueError: two of them, one below 1, a `train_fraction` outside (0, 1], or a `rest` below 0 or of tokens.
    """

    epochs: int | None = None
    """Passes over the training part."""
    steps: int | None = None
    """Steps of the optimizer."""
    tokens: int | None = None
    """Tokens that are fed to the model, padding not counted."""
    batch_size: int = 32
    """Examples in one training or evaluation step."""
    test_examples: int | None = None
    """At most this many test examples, the first ones of the fixed test order, or, where that order says something of
    the examples (a table of the user's, class folders), a fixed random sample; None takes all."""
    calibration_examples: int = 64
    """Training-side examples that a method may look at before training."""
    calibration_domains: tuple[str, ...] = ()
    """Text domains that these examples come from, some of those that the task has for it; none given takes all."""
    train_fraction: float = 1.0
    """Fraction of the training part of a prediction task that there is, in (0, 1]: a random subset, drawn again for
    each seed and the same for every method; a smaller fraction of the same seed is a part of a larger one."""
    rest: float | None = None
    """Train until the row comes to rest (`suites/training/rest.py`): the duration is doubled until a doubling gains no
    more than this on the validation part, in the unit of the task's main metric (0.01 is a point of accuracy). None
    trains once."""
    doublings: int = DEFAULT_DOUBLINGS
    """How often it is doubled at most, where there is a `rest`: 4 are sixteen times the duration."""
    watch: tuple[Watched, ...] = ()
    """What is looked at after each epoch of training, without any effect on it (`suites/prediction/watching.py`):
    "test", the score of the test part, which takes a pass over it; "adapters", how spread their weights are. Nothing is
    selected by either."""

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in DURATIONS if getattr(self, name) is not None}
        if len(given) > 1:
            raise ValueError(f"training lasts one of epochs, steps and tokens, not {given}")
        if not given:
            object.__setattr__(self, "epochs", DEFAULT_EPOCHS)
        for name, value in given.items():
            if value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(
                f"train_fraction={self.train_fraction} must lie in (0, 1]: the fraction of the training part to use"
            )
        if self.doublings < 1:
            raise ValueError(f"doublings={self.doublings} must be 1 or more")
        if self.rest is not None and not 0 <= self.rest < math.inf:
            raise ValueError(f"rest={self.rest} must be 0 or more: the gain that counts as none")
        if self.rest is not None and self.tokens is not None:
            raise ValueError(f"rest={self.rest} doubles epochs or steps, not tokens={self.tokens}")

    @property
    def duration(self) -> tuple[str, int]:
        """Unit ("epochs", "steps" or "tokens") and amount of training."""
        for name in DURATIONS:
            amount = getattr(self, name)
            if amount is not None:
                return name, amount
        raise AssertionError("a budget has a duration")

    def halves(self) -> tuple["Budget", "Budget"]:
        """Two budgets for two stages, whose durations add up to this one's; each lasts 1 unit at least.

        Raises:
            ValueError: training ends when it rests, which says nothing of the first of two stages.
        """
        if self.rest is not None:
            raise ValueError(f"rest: {self.rest}, but this method trains in stages of fixed length: leave it out")
        unit, amount = self.duration
        first = max(1, amount // 2)
        second = max(1, amount - first)
        return replace(self, **{unit: first}), replace(self, **{unit: second})
