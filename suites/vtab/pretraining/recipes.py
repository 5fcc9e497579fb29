"""How each network was pre-trained: from which images, how long and with which settings."""

from dataclasses import dataclass

from ..own_vit import SHAPES, ViTShape

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One pre-training. Losses of a source count by its share of the images."""

    shape: ViTShape
    fractals: int = 0
    """Fractals among the images of a batch."""
    contours: int = 0
    photographs: int = 0
    fractal_categories: int = 0
    contour_categories: int = 0
    steps: int
    learning_rate: float
    weight_decay: float = 0.05
    warmup: float = 0.05
    clip: float = 1.0
    patch_drop: float = 0.5
    """Fraction of the patches that training leaves out, other ones in each image: half the work."""
    wave_positions: bool = False
    """The embeddings of the positions start as waves along both axes, not as small random numbers."""
    whole: float = 0.0
    """Fraction of the training, at its end, in which no patch is left out, as in use."""

    def __post_init__(self) -> None:
        if not self.batch:
            raise ValueError("a recipe without images: give fractals, contours or photographs")
        for name in ("fractal", "contour"):
            drawn = getattr(self, f"{name}s")
            kinds = getattr(self, f"{name}_categories")
            if bool(drawn) != bool(kinds):
                raise ValueError(f"{name}s={drawn} and {name}_categories={kinds}: both or neither")
        if not 0 <= self.whole <= 1:
            raise ValueError(f"whole={self.whole} must lie from 0 to 1: a fraction of the training")

    @property
    def batch(self) -> int:
        """Images of a batch."""
        return self.fractals + self.contours + self.photographs


RECIPES = {
    # That half of the patches are dropped was chosen on the loss on drawn validation images (equal time, one seed).
    "vit_fractal_96": Recipe(
        shape=SHAPES["vit_fractal_96"], fractals=64, fractal_categories=200, steps=2_500, learning_rate=2e-3
    ),
    "vit_tiny_s": Recipe(
        shape=SHAPES["vit_tiny_s"],
        fractals=8,
        contours=16,
        photographs=40,
        fractal_categories=20,
        contour_categories=20,
        steps=4_000,
        learning_rate=1.5e-3,
        wave_positions=True,
        whole=0.1,
    ),
    "vit_tiny_b": Recipe(
        shape=SHAPES["vit_tiny_b"],
        fractals=8,
        contours=16,
        photographs=40,
        fractal_categories=20,
        contour_categories=20,
        steps=3_500,
        learning_rate=1e-3,
        wave_positions=True,
        whole=0.1,
    ),
}
