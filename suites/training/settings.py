"""How long to train, and how."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

FREE = ("save_every", "save_seconds", "batch_size", "accumulation")
"""Settings that may change between a stop and going on: when it is saved, and how the examples of a step are cut into
batches of several processes, as long as a step has the same examples (`data_order.py`)."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of `train`. Exactly one of `epochs`, `steps` and `tokens` says when it ends.

    Raises:
        ValueError: values that cannot be.

    Example::

        TrainSettings(steps=6_000, batch_size=64, accumulation=2, clip=1.0, warmup=0.02, precision="bfloat16")
    """

    epochs: int | None = None
    """Passes over the data."""
    steps: int | None = None
    """Steps of the optimizers."""
    tokens: int | None = None
    """Tokens that all processes see together; the last step may go beyond."""
    batch_size: int | None = None
    """Examples in a batch of one process, for map-style data. A stream gives whole batches."""
    accumulation: int = 1
    """Batches of each process whose gradient is summed up before a step."""
    clip: float | None = None
    """Largest norm of the gradient of all groups together; None: not clipped."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the rise, the learning rate falls along a cosine, or stays."""
    lowest: float = 0.0
    """Fraction of the peak learning rate at which the cosine ends."""
    warmup: float = 0.0
    """Fraction of the training in which the learning rate rises linearly."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """"bfloat16" computes the losses under autocast; the weights keep their type."""
    eval_every: int | None = None
    """Steps between two evaluations; None: after each epoch. The end is always evaluated."""
    save_every: int | None = None
    """Steps between two checkpoints."""
    save_seconds: float | None = 60.0
    """Seconds after which a checkpoint is due, whatever `save_every` says; None: never."""
    seed: int = 0
    """Seed of the order of map-style data."""

    def __post_init__(self) -> None:
        ends = [name for name in ("epochs", "steps", "tokens") if getattr(self, name) is not None]
        if len(ends) != 1:
            raise ValueError(f"give exactly one of epochs, steps and tokens, not {ends or 'none'}")
        for name in (*ends, "batch_size", "accumulation", "eval_every", "save_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup={self.warmup} must lie from 0 to 1: the fraction in which the rate rises")
        if not 0 <= self.lowest <= 1:
            raise ValueError(f"lowest={self.lowest} must lie from 0 to 1: the fraction of the rate at the end")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip={self.clip} must be above 0; None does not clip")

    def identity(self) -> dict[str, Any]:
        """What must be the same for a training that goes on."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}
