"""The files of a pre-trained network: its weights without the outputs, and what it is, how it was made, how good."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..own_vit import ViTShape
from .objective import Objective
from .recipes import SEED, Recipe
from .sources import Source
from .stream import ImageStream

VALIDATION = 2_048
"""Images of each source."""


def write_model(
    name: str,
    model: Any,
    recipe: Recipe,
    learnt: Sequence[Source],
    held_out: Sequence[Source],
    seconds: float,
    out: Path,
) -> dict[str, Any]:
    """Write `<name>.safetensors` in float16 and `<name>.json`; returns what the second says.

    It is measured with the rounded weights, on images of `held_out` that training has not seen.
    """
    from safetensors.torch import save_file

    weights = {key: value.half().contiguous() for key, value in model.state_dict().items() if key[:5] != "head."}
    model.load_state_dict(weights, strict=False)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / f"{name}.safetensors", metadata={"format": "pt"})
    card = {
        "model": describe_shape(recipe.shape),
        "pre-training": describe_sources(learnt),
        "parameters": sum(weight.numel() for weight in weights.values()),
        "sources": [source.content for source in learnt],
        "settings": settings(recipe),
        "validation": dict(validate(model, held_out)),
        "seconds on one thread": round(seconds),
        "versions": {name: version(name) for name in ("torch", "timm", "numpy")},
    }
    (out / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def describe_shape(shape: ViTShape) -> str:
    """In words."""
    sizes = f"{shape.size} pixels, patch {shape.patch}, depth {shape.depth}, width {shape.width}"
    return f"timm VisionTransformer, {sizes}, without head"


def describe_sources(learnt: Sequence[Source]) -> str:
    """In words, with what it is not."""
    drawn = [f"{source.name} and their placement" for source in learnt if source.placement]
    text = f"procedural: {', '.join(drawn)}"
    if len(drawn) == len(learnt):
        return f"{text}; not ImageNet, no photograph, no data set"
    return f"{text}; photographs of CIFAR-10 and their classes; not ImageNet, nothing of the mini suite"


def settings(recipe: Recipe) -> dict[str, Any]:
    """Every setting that made the weights."""
    chosen = asdict(recipe)
    del chosen["shape"]
    return chosen | {"images": recipe.batch * recipe.steps, "precision": "bfloat16 autocast", "seed": SEED}


def validate(model: Any, held_out: Sequence[Source]) -> Mapping[str, Mapping[str, float]]:
    """Scores on 2,048 images of each source (photographs: fewer, if there are fewer)."""
    counts = {source.name: VALIDATION for source in held_out}
    stream = ImageStream(held_out, counts, (SEED, 1))
    return Objective(held_out).scores(model, stream.draw())
