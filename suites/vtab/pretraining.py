"""Pre-trains the fractal ViTs on drawn images: which of 200 fractals is it, and where, how large and how turned?

    python -m sparsebench.suites.vtab.pretraining 96 suites/vtab/weights

One thread, one seed; eighteen minutes for width 96 on a busy machine. Every training image is new, and no image of the
suite is read. That half of the patches are dropped was chosen on the loss on drawn validation images (equal time, one
seed). The other settings, the range of angles and the mean over patches were not compared that way: they were changed
between broken-off runs whose training loss fell slowly. 160,000 images are few: the category is right for 7 % of the
validation images. Writes the weights without the head in float16, and `<name>.json` next to them: what the model is,
how it was trained and how good it is.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.data.vision.fractals import PLACEMENT, Categories, categories, draw_fractals

from ..training.callbacks import Callback, TrainingState
from ..training.groups import Group
from ..training.loop import train as training_loop
from ..training.result import TrainResult
from ..training.settings import TrainSettings
from .vit_fractal import vit_fractal

# Shapes: B images, C categories, P values of the placement.

CATEGORIES, SEED = 200, 0
BATCH, STEPS, VALIDATION = 64, 2500, 2048
LEARNING_RATE, WEIGHT_DECAY, WARMUP, CLIP, PATCH_DROP = 2e-3, 0.05, 0.05, 1.0, 0.5
SAVE_SECONDS = 60.0
OUTPUTS = CATEGORIES + len(PLACEMENT)

Batch = tuple[Tensor, Tensor, Tensor]


def draw(kinds: Categories, count: int, rng: np.random.Generator) -> Batch:
    """Images (B, 3, 32, 32) from -1 to 1, categories (B,) and placements (B, P)."""
    drawn = draw_fractals(kinds, rng.integers(len(kinds.maps), size=count), rng)
    images = torch.from_numpy(drawn.images).permute(0, 3, 1, 2) / 127.5 - 1
    return images, torch.from_numpy(drawn.labels), torch.from_numpy(drawn.placement)


def losses(outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the category, and squared error summed over the placement; both are means over the images."""
    logits_BC, placement_BP = outputs.float().split((CATEGORIES, len(PLACEMENT)), dim=-1)
    return F.cross_entropy(logits_BC, batch[1]), (placement_BP - batch[2]).square().sum(-1).mean()


class Drawings:
    """An endless stream of drawn batches; remembers where its draws stand."""

    def __init__(self) -> None:
        self.kinds = categories(CATEGORIES, SEED)
        self.rng = np.random.default_rng(SEED)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield draw(self.kinds, BATCH, self.rng)

    def state_dict(self) -> dict[str, Any]:
        """Where the draws stand."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on drawing from there."""
        self.rng.bit_generator.state = state["rng"]

    def fingerprint(self) -> str:
        """What is drawn."""
        return f"{CATEGORIES} fractals, seed {SEED}, batches of {BATCH}"


class Losses(Callback):
    """A line on standard output every 50 steps."""

    def on_step(self, state: TrainingState) -> None:
        """Print where a line is due."""
        step = state.step - 1
        if step % 50 == 0:
            category, place = state.losses["category"], state.losses["placement"]
            seconds = state.seconds
            sys.stdout.write(f"step {step}: category {category:.3f}, placement {place:.3f}, {seconds:.0f} s\n")
            sys.stdout.flush()


def train(
    width: int,
    steps: int,
    learning_rate: float = LEARNING_RATE,
    drop: float = PATCH_DROP,
    folder: Path | None = None,
) -> tuple[Any, TrainResult]:
    """The trained network with its head, in eval mode; prints the loss now and then. With a folder, training goes on
    after a stop."""
    torch.manual_seed(SEED)  # timm draws the initial weights and the dropped patches from the global generator
    model = vit_fractal(width, OUTPUTS, drop)
    for block in model.blocks:
        block.attn.fused_attn = False  # at 33 tokens the fused kernel's backward pass takes a third of a step
    result = training_loop(
        model,
        Drawings(),
        lambda model, batch: dict(zip(("category", "placement"), losses(model(batch[0]), batch), strict=True)),
        groups=[Group.adamw("model", model, learning_rate=learning_rate, weight_decay=WEIGHT_DECAY)],
        settings=TrainSettings(steps=steps, warmup=WARMUP, clip=CLIP, save_seconds=SAVE_SECONDS, precision="bfloat16"),
        callbacks=[Losses()],
        folder=folder,
    )
    return model, result


@torch.inference_mode()
def validate(model: Any) -> dict[str, float]:
    """Loss, accuracy (chance 1 / 200) and squared error of the placement on 2,048 images that training never drew."""
    kinds = categories(CATEGORIES, SEED)
    batch = draw(kinds, VALIDATION, np.random.default_rng((SEED, 1)))
    images = batch[0]
    outputs = torch.cat([model(part) for part in images.split(BATCH)])
    category, place = losses(outputs, batch)
    accuracy = (outputs[:, :CATEGORIES].argmax(-1) == batch[1]).float().mean()
    found = {"loss": category + place, "category loss": category, "accuracy": accuracy, "placement error": place}
    return {name: round(value.item(), 4) for name, value in found.items()}


def card(width: int, model: Any, seconds: float) -> dict[str, Any]:
    """What is written next to the weights."""
    return {
        "model": f"timm VisionTransformer, 32 pixels, patch 4, depth 6, width {width}, without head",
        "pre-training": "procedural: fractal categories and their placement; not ImageNet, no photograph, no data set",
        "parameters": sum(p.numel() for name, p in model.named_parameters() if not name.startswith("head.")),
        "settings": {
            "categories": CATEGORIES,
            "images": BATCH * STEPS,
            "batch": BATCH,
            "steps": STEPS,
            "learning rate": LEARNING_RATE,
            "weight decay": WEIGHT_DECAY,
            "patches dropped": PATCH_DROP,
            "precision": "bfloat16 autocast",
            "seed": SEED,
        },
        "validation on drawn images": validate(model),
        "seconds on one thread": round(seconds),
        "versions": {name: version(name) for name in ("torch", "timm", "numpy")},
    }


def main(width: int, folder: Path) -> None:
    """Train and write `vit_fractal_<width>.safetensors` and `.json`. After a stop, the same command goes on."""
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    training = folder / f"vit_fractal_{width}.training"
    model, result = train(width, STEPS, folder=training)
    weights = {key: value.half().contiguous() for key, value in model.state_dict().items() if key[:5] != "head."}
    model.load_state_dict(weights, strict=False)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / f"vit_fractal_{width}.safetensors", metadata={"format": "pt"})
    text = json.dumps(card(width, model, result.seconds), indent=2)
    (folder / f"vit_fractal_{width}.json").write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(training)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
