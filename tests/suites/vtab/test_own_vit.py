"""The ViTs of our own pre-training: files, anatomy, worth of their features, conversion to a mixture of experts."""

import copy
import json
import shutil
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.linear_model import RidgeClassifier

from sparsebench.data.vision.dsprites import dsprites
from sparsebench.data.vision.fashion_mnist import fashion_mnist
from sparsebench.data.vision.fractals import categories, draw_fractals
from sparsebench.data.vision.splits import VisionSplits
from sparsebench.models.anatomy import describe
from sparsebench.models.moe import MoEFFN
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.methods.moe._calibration import calibration
from sparsebench.suites.methods.moe._moe import MoEMethod
from sparsebench.suites.methods.moe.cmoe import CMoE
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.vtab import own_vit
from sparsebench.suites.vtab.backbones import vit_fractal_96, vit_tiny_b, vit_tiny_s
from sparsebench.suites.vtab.body import VisionBody
from sparsebench.suites.vtab.tasks.synthetic import Blobs

NAMES: dict[str, Any] = {"vit_fractal_96": vit_fractal_96, "vit_tiny_s": vit_tiny_s, "vit_tiny_b": vit_tiny_b}
WIDTH, DEPTH, TOKENS = 96, 6, 64


def load(seed: int = 0) -> VisionBody:
    return vit_fractal_96.load(torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def setup() -> Setup:
    budget = Budget(batch_size=16, calibration_examples=32)
    return Blobs().setup(vit_fractal_96.load, Context(suite="vtab", task="synthetic", seed=0, budget=budget))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_random(name: str) -> None:
    state = torch.get_rng_state()
    first, second = (NAMES[name].load(torch.Generator().manual_seed(seed)).state_dict() for seed in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left alone"


@pytest.mark.parametrize("name", NAMES)
def test_counts_and_anatomy(name: str) -> None:
    body, shape = NAMES[name].load(torch.Generator()), own_vit.SHAPES[name]
    width, tokens = shape.width, (shape.size // shape.patch) ** 2
    per_block = 12 * width**2 + 13 * width  # attention 4 d² + 4 d, FFN 8 d² + 5 d, two norms 4 d
    rest = (3 * shape.patch**2 + 1) * width + tokens * width + 2 * width  # patches, positions, last norm
    assert sum(p.numel() for p in body.parameters()) == shape.depth * per_block + rest
    anatomy = describe(body)
    assert len(anatomy.blocks) == shape.depth and anatomy.width == width
    assert all(block.mlp is not None and block.mlp.kind == "plain" for block in anatomy.blocks)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_describes_the_file(name: str) -> None:
    file = own_vit.WEIGHTS / f"{name}.safetensors"
    card = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["parameters"] == sum(p.numel() for p in NAMES[name].load(torch.Generator()).parameters())
    assert "not ImageNet" in card["pre-training"]
    with safe_open(file, "pt") as content:
        kinds = {content.get_tensor(key).dtype for key in content.keys()}  # noqa: SIM118
    assert kinds == {torch.float16}
    assert sha256(file.read_bytes()).hexdigest() == NAMES[name].CHECKSUM


@pytest.mark.parametrize("name", NAMES)
def test_other_weights_and_arguments_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="install it again"):
        own_vit.own_vit_body(name, "0" * 64, None)
    with pytest.raises(ValueError, match=f"'{name}' takes no argument, not '64'"):
        NAMES[name].load(torch.Generator(), "64")


def test_the_pair_has_the_proportions_of_vit_s_and_vit_b() -> None:
    small, large = (describe(module.load(torch.Generator())) for module in (vit_tiny_s, vit_tiny_b))
    assert large.width == 2 * small.width and len(large.blocks) == len(small.blocks)
    files = [own_vit.WEIGHTS / f"{name}.safetensors" for name in ("vit_tiny_s", "vit_tiny_b")]
    assert sum(file.stat().st_size for file in files) < 8_000_000


def probe(body: VisionBody, splits: VisionSplits) -> float:
    """Share of validation images that a linear classifier on frozen features gets right."""
    features = []
    for part in (splits.train, splits.val):
        encoded = list(body.encode(list(part.images)))
        batches = [body.collate(encoded[start : start + 100]) for start in range(0, len(encoded), 100)]
        with torch.no_grad():
            features.append(torch.cat([body.eval()(batch) for batch in batches]).numpy())
    mean, deviation = features[0].mean(0), features[0].std(0) + 1e-6
    scaled = [(part - mean) / deviation for part in features]
    classifier = RidgeClassifier(alpha=100.0).fit(scaled[0], splits.train.labels)
    return float(classifier.score(scaled[1], splits.val.labels))


def untrained(name: str, seed: int) -> VisionBody:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return VisionBody(own_vit.own_vit(own_vit.SHAPES[name]), own_vit.SHAPES[name].size)


@pytest.mark.parametrize("name", ["vit_tiny_s", "vit_tiny_b"])
def test_probes_on_sprites_beat_random_weights(name: str) -> None:
    splits = dsprites("location", train=400, test=1)
    random = probe(untrained(name, 0), splits)
    assert probe(NAMES[name].load(torch.Generator()), splits) > random + 0.05, random


@pytest.mark.data
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="Fashion-MNIST is a Debian package")
@pytest.mark.parametrize("name", ["vit_tiny_s", "vit_tiny_b"])
def test_probes_on_clothing_beat_random_weights(name: str) -> None:
    splits = fashion_mnist(train=400, test=1)
    random = probe(untrained(name, 0), splits)
    assert probe(NAMES[name].load(torch.Generator()), splits) > random + 0.03, random


def test_pre_training_shows_on_fractals_that_it_never_saw() -> None:
    """A ridge classifier on the features of 20 new categories, against the same network with random weights."""
    kinds, rng = categories(20, seed=99), np.random.default_rng(0)
    labels = np.tile(np.arange(20), 50)
    images, half = draw_fractals(kinds, labels, rng).images, len(labels) // 2
    trained = load()
    torch.manual_seed(0)
    random = VisionBody(own_vit.own_vit(own_vit.SHAPES["vit_fractal_96"]), trained.size)
    accuracy = []
    for body in (trained, random):
        with torch.no_grad():
            x = body.eval()(body.collate(list(body.encode(list(images))))).numpy()
        x = (x - x.mean(0)) / x.std(0)
        accuracy.append(RidgeClassifier(alpha=10.0).fit(x[:half], labels[:half]).score(x[half:], labels[half:]))
    assert accuracy[0] > accuracy[1] + 0.1, accuracy


# Conversion


def test_calibration_sees_every_layer_and_the_loss_of_the_task(setup: Setup) -> None:
    seen = calibration(setup.model, setup.context, gradients=True)
    assert len(seen.samples) == DEPTH
    for sample in seen.samples:
        assert sample.x.shape == (32 * TOKENS, WIDTH) and sample.h.shape == (32 * TOKENS, 4 * WIDTH)
        assert sample.dh is not None and sample.dh.shape == sample.h.shape
    assert seen.document.tolist() == [image for image in range(32) for _ in range(TOKENS)]
    assert seen.embedding.shape == (32, WIDTH)


@pytest.mark.parametrize("method", [RandomSplit(), SharedSplit(), CMoE(), LlamaMoEV2()], ids=lambda m: type(m).__name__)
def test_methods_convert_every_block_and_leave_the_head_to_train(setup: Setup, method: MoEMethod) -> None:
    model = method.prepare(copy.deepcopy(setup.model), setup.context)
    assert sum(isinstance(module, MoEFFN) for module in model.modules()) == DEPTH
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    with torch.no_grad():
        assert model.eval()(setup.context.batches()[0][0]).isfinite().all()
