"""How much work one cell may do."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much work one cell may do; part of the cell's identity."""

    epochs: int = 10
    """Passes over the training part; unused by tasks that do not train."""
    batch_size: int = 32
    """Examples in one training or evaluation step."""
    test_examples: int | None = None
    """At most this many test examples, the first ones of the fixed test order; None takes all."""
    calibration_examples: int = 64
    """Training-side examples that a method may look at before training."""
    train_fraction: float = 1.0
    """Fraction of the training part of a prediction task that there is, in (0, 1]: a random subset, drawn again for
    each seed and the same for every method; a smaller fraction of the same seed is a part of a larger one."""

    def __post_init__(self) -> None:
        if not 0 < self.train_fraction <= 1:
            raise ValueError(
                f"train_fraction={self.train_fraction} must lie in (0, 1]: the fraction of the training part to use"
            )
