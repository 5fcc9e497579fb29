"""A recipe: which model, on how many GPUs, with which settings in which stages. One YAML file each, in `recipes/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from sparsebench.data.manifest import near

FOLDER = Path(__file__).parent / "recipes"
STRICT = {"extra": "forbid"}
"""For pydantic: a field that there is not is an error."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training, which starts from the weights that the one before it left."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    data: Literal["text", "conversations"]
    """Windows of plain text, with a loss on every token; or packed conversations, with a loss on answers only."""
    rows: int
    """Rows of a step, over all GPUs and micro-batches."""
    tokens: float
    """After which it ends, padding included; whole steps, rounded up."""
    learning_rate: float
    """At its peak."""
    schedule: Literal["cosine", "cosine_with_min_lr", "constant"] = "cosine"
    least_rate: float = 0.0
    """Where "cosine_with_min_lr" ends, as a fraction of the peak."""
    warmup: float = 0.0
    """Steps in which the rate rises; below 1, a fraction of all."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 1.0
    weights: Mapping[str, float] | None = None
    """Shares of the domains of text; None: equal ones."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Raises ValueError where a step cannot be shared out evenly, and for settings that contradict each other."""

    __pydantic_config__: ClassVar = STRICT

    caption: str
    presets: tuple[str, ...]
    """Conversions that it is for (`models/moe/presets.py`); the first one is the default."""
    shape: Mapping[str, int]
    """The dense model: fields of a `LlamaConfig`. Training takes them from the model itself, which must have them."""
    gpus: int
    gigabytes: float
    """Memory of one GPU, in 10^9 bytes."""
    length: int
    """Tokens of a row."""
    micro_batch: int
    """Rows of one GPU at a time."""
    stages: tuple[Stage, ...]
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adafactor"] = "adamw_torch"
    train: Literal["all", "mixtures"] = "all"
    """Everything, or the mixtures alone (experts and routers)."""

    def __post_init__(self) -> None:
        if not self.stages or not self.presets:
            raise ValueError("a recipe needs at least one stage and one preset")
        for stage in self.stages:
            if stage.rows % (self.gpus * self.micro_batch):
                raise ValueError(
                    f"stage {stage.name!r}: {stage.rows} rows cannot be shared out evenly over {self.gpus} GPUs with "
                    f"{self.micro_batch} at a time: take a multiple of {self.gpus * self.micro_batch}"
                )

    def accumulation(self, stage: Stage) -> int:
        """Micro-batches of each GPU in a step."""
        return stage.rows // (self.gpus * self.micro_batch)

    def step_tokens(self, stage: Stage) -> int:
        """Tokens of a step."""
        return stage.rows * self.length

    def steps(self, stage: Stage) -> int:
        """Steps of a stage."""
        return -(-int(stage.tokens) // self.step_tokens(stage))


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(name: str | Path) -> Recipe:
    """The recipe of this name, or that of a YAML file. Raises ValueError, with the place, for a file that is none."""
    import yaml
    from pydantic import TypeAdapter, ValidationError

    path = Path(name)
    if path.suffix != ".yaml":
        if name not in recipe_names():
            raise ValueError(f"no recipe {str(name)!r}{near(str(name), recipe_names())}; or give a .yaml file")
        path = FOLDER / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from error
    try:
        return TypeAdapter(Recipe).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path}: {place or 'recipe'}: {first['msg']}") from error
