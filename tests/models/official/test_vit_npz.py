"""ViTs in the files of google-research/vision_transformer, beside what timm's own reader makes of the same file."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from sparsebench.models import load, save
from sparsebench.models.errors import ModelError
from sparsebench.models.official import from_official, import_official
from sparsebench.models.official.vit_npz import UNKNOWN, Sizes

from ..agreement import agree
from .exact_numbers import uniform

NAME = "vit_tiny_patch16_224"
WIDTH, BLOCKS, HEADS, PATCH, GRID, CLASSES = 192, 12, 3, 16, 14, 5
PUBLISHED = (
    *(f"vit_{size}_patch16_{side}" for size in ("tiny", "small", "base", "large") for side in (224, 384)),
    *(f"vit_{size}_patch32_{side}" for size in ("small", "base", "large") for side in (224, 384)),
    *("vit_base_patch8_224", "vit_huge_patch14_224"),
)
WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
WIDTHS |= {"huge": (1280, 32, 16)}


def shapes() -> dict[str, tuple[int, ...]]:
    """What the official code calls the parameters of `NAME`."""
    hidden, each = 4 * WIDTH, WIDTH // HEADS
    found = {"cls": (1, 1, WIDTH), "embedding/kernel": (PATCH, PATCH, 3, WIDTH), "embedding/bias": (WIDTH,)}
    found |= {"Transformer/posembed_input/pos_embedding": (1, 1 + GRID**2, WIDTH)}
    found |= {"head/kernel": (WIDTH, CLASSES), "head/bias": (CLASSES,)}
    found |= {f"Transformer/encoder_norm/{leaf}": (WIDTH,) for leaf in ("scale", "bias")}
    for block in (f"Transformer/encoderblock_{number}" for number in range(BLOCKS)):
        found |= {f"{block}/LayerNorm_{norm}/{leaf}": (WIDTH,) for norm in (0, 2) for leaf in ("scale", "bias")}
        found |= {f"{block}/MlpBlock_3/Dense_0/kernel": (WIDTH, hidden), f"{block}/MlpBlock_3/Dense_0/bias": (hidden,)}
        found |= {f"{block}/MlpBlock_3/Dense_1/kernel": (hidden, WIDTH), f"{block}/MlpBlock_3/Dense_1/bias": (WIDTH,)}
        attention = f"{block}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value"):
            found |= {f"{attention}/{part}/kernel": (WIDTH, HEADS, each), f"{attention}/{part}/bias": (HEADS, each)}
        found |= {f"{attention}/out/kernel": (HEADS, each, WIDTH), f"{attention}/out/bias": (WIDTH,)}
    return found


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return {name: (uniform(name, shape) / 8).astype(np.float32) for name, shape in shapes().items()}


@pytest.fixture
def file(arrays: dict[str, np.ndarray], tmp_path: Path) -> Path:
    np.savez(tmp_path / "Ti_16.npz", **arrays)  # type: ignore[arg-type] - numpy's stub takes an option for an array
    return tmp_path / "Ti_16.npz"


def images() -> Tensor:
    return torch.from_numpy(uniform("images", (2, 3, 224, 224))).float()


@torch.no_grad()
def test_it_is_what_timm_reads(file: Path, tmp_path: Path) -> None:
    theirs = timm.create_model(NAME, num_classes=CLASSES)
    theirs.load_pretrained(str(file))  # type: ignore[operator] - only ViTs have it
    found = import_official(file, tmp_path / "ours")
    assert (found.layout, found.tensors, found.unknown) == ("vit_npz", len(shapes()), UNKNOWN)
    ours = load(tmp_path / "ours")
    logits = ours(images())
    agree(logits, theirs.eval()(images()), "logits")
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@torch.no_grad()
def test_a_representation_layer_stands_before_the_head(
    arrays: dict[str, np.ndarray], file: Path, tmp_path: Path
) -> None:
    """In files of the first paper; timm's reader passes over it."""
    kernel, bias = (uniform("kernel", (WIDTH, WIDTH)) / 8).astype(np.float32), np.ones(WIDTH, np.float32)
    more = {"pre_logits/kernel": kernel, "pre_logits/bias": bias}
    np.savez(tmp_path / "original.npz", **arrays, **more)  # type: ignore[arg-type] - as above
    ours, plain = from_official(tmp_path / "original.npz"), from_official(file)
    pooled = plain.forward_head(plain.forward_features(images()), pre_logits=True)  # type: ignore[operator]
    hidden = torch.tanh(pooled @ torch.from_numpy(kernel) + torch.from_numpy(bias))
    wanted = hidden @ torch.from_numpy(arrays["head/kernel"]) + torch.from_numpy(arrays["head/bias"])
    torch.testing.assert_close(ours(images()), wanted)
    with pytest.raises(ModelError, match=r"is more than its configuration and its parts: .* as head\.0\.bias"):
        import_official(tmp_path / "original.npz", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    ours.reset_classifier(7)  # type: ignore[operator] - of timm
    save(ours, tmp_path / "ours")


def test_without_a_head_it_gives_features(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    body = {name: value for name, value in arrays.items() if not name.startswith("head/")}
    np.savez(tmp_path / "body.npz", **body)  # type: ignore[arg-type] - as above
    assert from_official(tmp_path / "body.npz")(images()).shape == (2, WIDTH)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_size_has_its_name(name: str) -> None:
    _, size, patch, side = name.split("_")
    pixels = int(patch.removeprefix("patch"))
    assert Sizes(*WIDTHS[size], pixels, int(side) // pixels).name == name
    assert timm.is_model(name)


BLOCK = "Transformer/encoderblock_3"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Transformer/extra": np.zeros(2)}, "1 tensors of .* have no place in the model, Transformer/extra"),
        ({f"{BLOCK}/LayerNorm_0/bias": None}, f"has no tensor {BLOCK}/LayerNorm_0/bias"),
        ({f"{BLOCK}/LayerNorm_0/bias": np.zeros(3)}, rf"{BLOCK}/LayerNorm_0/bias has the shape \(3,\); \(192,\) was"),
        ({"head/kernel": np.zeros((7, 5))}, r"head/kernel has the shape \(7, 5\); \(192, 5\) was expected"),
        (
            {"Transformer/posembed_input/pos_embedding": np.zeros((1, 199, 192))},
            "199 positions, which are no class token",
        ),
        ({"embedding/kernel": np.zeros((8, 8, 3, 192))}, "would be a vit_tiny_patch8_112, which timm does not have"),
        ({"embedding/kernel": np.zeros((768, 192))}, r"has the shape \(768, 192\); 4 dimensions were expected"),
        ({"conv_root/kernel": np.zeros((7, 7, 3, 64))}, "is a ViT behind a ResNet"),
        ({f"{BLOCK}/LayerNorm_0/bias": np.array([print])}, "LayerNorm_0/bias of .* is damaged, or no array of numbers"),
    ],
)
def test_files_that_are_refused(arrays: dict, tmp_path: Path, changes: dict, words: str) -> None:
    changed = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(tmp_path / "changed.npz", **changed)
    with pytest.raises(ModelError, match=words):
        import_official(tmp_path / "changed.npz", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_files_that_are_no_whole_archive(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(file.read_bytes()[:1000])
    with (tmp_path / "array.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name, words in (("cut", "cut short"), ("array", "cut short"), ("other", "has no layout that is known here")):
        with pytest.raises(ModelError, match=words):
            from_official(tmp_path / f"{name}.npz")
