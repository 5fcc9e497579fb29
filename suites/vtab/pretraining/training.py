"""One pre-training by a recipe, in the training loop that all of the suites share."""

import math
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsebench.data.vision.splits import Images

from ...training.callbacks import Callback, TrainingState
from ...training.groups import Group
from ...training.loop import train as training_loop
from ...training.result import TrainResult
from ...training.settings import TrainSettings
from ..own_vit import own_vit
from .objective import Objective
from .recipes import SEED, Recipe
from .sources import Source, drawn_source, photograph_source
from .stream import ImageStream

SAVE_SECONDS = 60.0
LONGEST = 20.0
"""The lowest frequency is the highest, divided by this."""
HIGHEST = 1.5
"""Radians from one patch to the next."""
SCALE = 0.5

# Shapes: N patches along a side, F frequencies, D width.


def sources(recipe: Recipe, photographs: Images | None, *, changed: bool = True) -> list[Source]:
    """The sources of a recipe; photographs are as they come where they are not to be changed.

    Raises ValueError where the recipe wants photographs and none are given.
    """
    side = recipe.shape.size
    found = []
    if recipe.fractals:
        found.append(drawn_source("fractals", recipe.fractal_categories, side, SEED))
    if recipe.contours:
        found.append(drawn_source("contours", recipe.contour_categories, side, SEED))
    if recipe.photographs:
        if photographs is None:
            raise ValueError("this recipe wants photographs: give those of CIFAR-10")
        found.append(photograph_source(photographs, digest(photographs), side, SEED, changed=changed))
    return found


def digest(photographs: Images) -> str:
    """What identifies photographs, whatever files they came in."""
    pixels = sha256(photographs.images.tobytes() + photographs.labels.tobytes()).hexdigest()
    return f"{len(photographs.labels)} photographs of CIFAR-10, sha256 {pixels}"


class Losses(Callback):
    """A line on standard output every 50 steps."""

    def on_step(self, state: TrainingState) -> None:
        """Print where a line is due."""
        step = state.step - 1
        if step % 50 == 0:
            losses = ", ".join(f"{name} {value:.3f}" for name, value in state.losses.items())
            sys.stdout.write(f"step {step}: {losses}; {state.seconds:.0f} s\n")
            sys.stdout.flush()


class WholeImages(Callback):
    """From some step on, no patch of `network` is left out; remembers whether that is so."""

    def __init__(self, network: Any, first_step: int) -> None:
        self.dropout = network.patch_drop
        self.first_step = first_step

    def on_step(self, state: TrainingState) -> None:
        """Look before the next step."""
        if state.step >= self.first_step:
            self.dropout.prob = 0.0

    def state_dict(self) -> dict[str, float]:
        """The fraction that is left out."""
        return {"prob": self.dropout.prob}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on with it."""
        self.dropout.prob = state["prob"]


def new_network(recipe: Recipe, outputs: int) -> Any:
    """The network before its first step; seeds the global random generator."""
    torch.manual_seed(SEED)  # timm draws the initial weights and the dropped patches from the global generator
    model = own_vit(recipe.shape, outputs, recipe.patch_drop)
    for block in model.blocks:
        block.attn.fused_attn = False  # with this few tokens the fused kernel's backward pass takes a third of a step
    if recipe.wave_positions:
        patches = recipe.shape.size // recipe.shape.patch
        with torch.no_grad():
            model.pos_embed.copy_(wave_positions(patches, recipe.shape.width))
    return model


def train(recipe: Recipe, sources: Sequence[Source], folder: Path | None = None) -> tuple[Any, TrainResult]:
    """The trained network with its outputs, in eval mode; prints the losses now and then. With a folder, training goes
    on after a stop."""
    objective = Objective(sources)
    model = new_network(recipe, objective.outputs)
    counts = {"fractals": recipe.fractals, "contours": recipe.contours, "photographs": recipe.photographs}
    callbacks: list[Callback] = [Losses()]
    if recipe.whole and recipe.patch_drop:
        callbacks.append(WholeImages(model, round((1 - recipe.whole) * recipe.steps)))
    result = training_loop(
        model,
        ImageStream(sources, counts, SEED),
        objective,
        groups=[
            Group.adamw("model", model, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay),
        ],
        settings=TrainSettings(
            steps=recipe.steps,
            warmup=recipe.warmup,
            clip=recipe.clip,
            save_seconds=SAVE_SECONDS,
            precision="bfloat16",
        ),
        callbacks=callbacks,
        folder=folder,
    )
    return model, result


def wave_positions(patches: int, width: int) -> Tensor:
    """Sines and cosines along both axes, float32 (patches ** 2, width), row by row.

    As in "Attention is all you need" (Vaswani et al., 2017), for each axis with half of the width, but with frequencies
    for a grid of few patches. Beside timm's random ones of 0.02, these are as large as what a patch holds, and a
    network learns sooner where things are. Raises ValueError for a width that 4 does not divide.
    """
    if width % 4:
        raise ValueError(f"width={width} must be a multiple of 4: sines and cosines along two axes")
    exponent_F = torch.linspace(0, -math.log(LONGEST), width // 4)
    angle_NF = torch.arange(patches)[:, None] * (HIGHEST * exponent_F.exp())
    axis_ND = torch.cat((angle_NF.sin(), angle_NF.cos()), -1)
    rows = axis_ND[:, None].expand(patches, patches, -1)
    columns = axis_ND[None].expand(patches, patches, -1)
    return SCALE * torch.cat((rows, columns), -1).flatten(0, 1)
