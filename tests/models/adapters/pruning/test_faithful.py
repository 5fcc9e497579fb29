"""The defects of the released code, reproduced on its terms, each compared with what `sparsify` does by default."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.pruning.adapter_units import pairs
from sparsebench.models.adapters.pruning.faithful import faithful_masks, faithful_scores
from sparsebench.models.adapters.pruning.report import Report
from sparsebench.models.adapters.pruning.sparsify import sparsify
from sparsebench.models.counting import stored_bytes
from sparsebench.models.sparsity.masked import Masked, MaskedLinear
from sparsebench.models.sparsity.scoring import CRITERIA, Evidence

from ..pruning_tools import BareSet, Pairs, evidence, loss, masks

Build = Callable[[str], nn.Module]


def both(make: Callable, example: Callable, **options: object) -> tuple[Report, Report]:
    """Reports of the released and of our pruning of equal adapters."""
    reports = []
    for faithful in (True, False):
        adapters = make()
        reports.append(sparsify(adapters, faithful=faithful, **options, **evidence(adapters, example)))
    return reports[0], reports[1]


@pytest.mark.parametrize(("norm", "released"), [("in", 0), ("none", 921)])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_synflow_through_the_inner_norm_prunes_everything(
    norm: str, released: int, activation: str, build: Build, example: Callable
) -> None:
    """A layer norm of ones is 0. Without it 615 = ceil(614.4) of 1536 go, where 614 are 40 %."""
    config = BottleneckConfig(r=12, init="normal", norm=norm, activation=activation)
    theirs, ours = both(lambda: attach(build("timm_vit"), config), example, method="synflow", density=0.6)
    assert (theirs.total, theirs.kept) == (1536, released)
    assert ours.kept == 922 == round(0.6 * 1536)


def lora(build: Build, init: str) -> Callable:
    return lambda: attach(build("timm_vit"), LoRAConfig(r=4, init=init, targets=("q",), blocks=1))


def test_snip_on_lora_with_b_0_prunes_nothing_silently(build: Build, example: Callable) -> None:
    """0 / 0 is NaN and no NaN is below a threshold."""
    adapters = lora(build, "zero_up")()
    report = sparsify(adapters, method="snip", density=0.6, faithful=True, **evidence(adapters, example))
    assert (report.total, report.kept) == (256, 256)


def test_snip_on_lora_with_normal_factors(build: Build, example: Callable) -> None:
    """ceil(102.4) = 103 of 256 go; 153.6 rounds to 154 that stay."""
    theirs, ours = both(lora(build, "normal"), example, method="snip", density=0.6)
    assert (theirs.kept, ours.kept) == (153, 154)


def test_global_rounds_up_and_local_down(build: Build, example: Callable) -> None:
    """0.45 of 128 weights each: 70.4 stay; globally 140.8 of 256."""
    theirs, ours = both(lora(build, "normal"), example, method="magnitude", density=0.55)
    assert (theirs.kept, ours.kept) == (256 - math.ceil(0.45 * 256), round(0.55 * 256)) == (140, 141)
    theirs, ours = both(lora(build, "normal"), example, method="magnitude", density=0.55, scope="local")
    assert [layer.kept for layer in theirs.layers] == [128 - int(0.45 * 128)] * 2 == [71, 71]
    assert [layer.kept for layer in ours.layers] == [70, 70]


def test_all_that_tie_with_the_threshold_go() -> None:
    """Half of the weights are 1 and half 2: asked for 75 %, it keeps 50 %."""
    adapters = BareSet(Pairs(4, 2)), BareSet(Pairs(4, 2))
    for bare in adapters:
        for layer in bare.prunable().values():
            layer.stored.data.fill_(1).view(-1)[::2] = 2
    theirs, ours = (
        sparsify(bare, method="magnitude", density=0.75, faithful=faithful)  # type: ignore[arg-type]
        for bare, faithful in zip(adapters, (True, False), strict=True)
    )
    assert (theirs.kept, ours.kept, ours.total, ours.ties) == (8, 12, 16, 8)


@pytest.mark.parametrize("method", ["random", "magnitude", "snip", "synflow"])
def test_equal_shapes_leave_up_unpruned(method: str, build: Build, example: Callable) -> None:
    """r = width = 32."""
    config = BottleneckConfig(r=32, init="normal")
    theirs, ours = both(lambda: attach(build("timm_vit"), config), example, method=method, density=0.5)
    for layer in theirs.layers:
        assert (layer.kept == layer.total) == layer.name.endswith("up")
    assert all(0 < layer.kept < layer.total for layer in ours.layers)


def enlarged(build: Build, example: Callable) -> tuple[list[Masked], Evidence]:
    """Layers whose weights matter to each other, and what they are scored with."""
    adapters = lora(build, "normal")()
    layers = list(adapters.prunable().values())
    for layer in layers:
        layer.stored.data.mul_(20)
    batches = evidence(adapters, example)["batches"]
    return layers, Evidence(model=adapters.model, pairs=pairs(adapters), batches=batches, loss_fn=loss)


def test_rounds_are_not_nested(build: Build, example: Callable) -> None:
    """A removed weight keeps its value and a gradient of its mask, so it can come back; the last density is met."""
    layers, given = enlarged(build, example)
    before = [layer.stored.clone() for layer in layers]

    def flat(density: float, rounds: int) -> Tensor:
        found = faithful_masks(layers, given, method="snip", density=density, local=False, rounds=rounds)
        assert {mask.dtype for mask in found} == {torch.float32}
        return torch.cat([mask.flatten() for mask in found]).bool()

    rounds = [flat(0.1 ** (step / 5), step) for step in range(1, 6)]  # what 5 rounds pass through
    revived = [int((later & ~earlier).sum()) for earlier, later in itertools.pairwise(rounds)]
    assert sum(revived) > 0 and int(rounds[-1].sum()) == 256 - math.ceil(0.9 * 256), revived
    assert all(torch.equal(layer.stored, weight) for layer, weight in zip(layers, before, strict=True))
    ours = lora(build, "normal")()
    sparsify(ours, density=0.3, rounds=2, **evidence(ours, example))
    assert sum(int(mask.sum()) for mask in masks(ours)) == 77


def test_grasp_in_rounds_takes_the_gradient_through_the_mask(build: Build, example: Callable) -> None:
    """What was removed scores exactly 0, and with the default criterion the others would have other scores."""
    layers, given = enlarged(build, example)
    generator = torch.Generator().manual_seed(0)
    mask = [torch.rand(layer.shape, generator=generator).round() for layer in layers]
    masked = torch.cat([score.flatten() for score in faithful_scores(layers, mask, given, "grasp")])
    there = torch.cat([part.flatten() for part in mask]).bool()
    assert not masked[~there].any() and masked[there].all()
    with torch.no_grad():
        for layer, part in zip(layers, mask, strict=True):
            layer.stored.mul_(part)
    through_all = torch.cat([score.flatten() for score in CRITERIA["grasp"](layers, given)])
    assert (through_all - masked)[there].abs().max() > 0.01 * masked.abs().max()


def test_scores_agree_where_the_released_code_works(build: Build, example: Callable) -> None:
    """Without ties, norm or equal shapes its masks are ours but for the rounding; SynFlow within one adapter."""
    for method in ("magnitude", "snip", "grasp", "synflow"):
        theirs, ours = lora(build, "normal")(), lora(build, "normal")()
        sparsify(theirs, method=method, density=0.5, faithful=True, **evidence(theirs, example))
        sparsify(ours, method=method, density=0.5, rounds=1, **evidence(ours, example))
        assert all(torch.equal(a, b) for a, b in zip(masks(theirs), masks(ours), strict=True)), method


def test_released_synflow_adds_flows_and_ours_does_not(build: Build, example: Callable) -> None:
    """Weights a quarter as large are a sixteenth of the flow: the released code takes most of that adapter."""

    def make() -> object:
        adapters = attach(build("timm_vit"), LoRAConfig(r=4, init="normal", targets=("q",)))
        for name, weight in adapters.weights().items():
            weight.data.mul_(0.25 if "blocks.0." in name else 1)
        return adapters

    theirs, ours = both(make, example, method="synflow", density=0.5)
    assert min(layer.density for layer in theirs.layers) < 0.1 < 0.4 < min(layer.density for layer in ours.layers)


class Released(nn.Linear):
    """A dense weight and a float mask that multiplies it in every forward pass, as the released layers have."""

    def __init__(self, layer: MaskedLinear) -> None:
        super().__init__(layer.in_features, layer.out_features)
        self.load_state_dict({"weight": layer.effective().detach(), "bias": layer.bias.detach()})
        self.register_buffer("mask", layer.mask.float())

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, self.weight * self.mask, self.bias)


def test_hidden_weights_decay_and_cost_as_much_as_dense_ones() -> None:
    """Weight decay moves what is masked, the optimizer holds state for it, and the file is larger than a dense one."""
    layer = MaskedLinear(64, 32)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    theirs = Released(layer)
    keep = torch.rand(layer.shape, generator=torch.Generator().manual_seed(1)) < 0.05
    theirs.mask.copy_(keep)
    layer.prune(keep)
    hidden = theirs.weight.detach()[~keep]
    states = []
    for module in (theirs, layer):
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=0.1)
        module(torch.randn(4, 64, generator=torch.Generator().manual_seed(2))).square().sum().backward()
        optimizer.step()
        states.append(sum(value.numel() for state in optimizer.state.values() for value in state.values()))
    assert torch.equal(theirs.weight.detach()[~keep], hidden * (1 - 1e-2 * 0.1))
    torch.testing.assert_close((theirs.weight * theirs.mask).detach(), layer.effective().detach())
    assert states[0] > 2 * 64 * 32 and states[1] == 2 * (int(keep.sum()) + 32) + 2
    assert stored_bytes(theirs) == 4 * (2 * 64 * 32 + 32) and stored_bytes(layer) < 4 * 64 * 32 * 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "er"}, "the released code does not have"),
        ({"granularity": "unit"}, "not units"),
    ],
)
def test_what_it_does_not_have(options: dict, message: str, build: Build, example: Callable) -> None:
    adapters = lora(build, "normal")()
    with pytest.raises(ValueError, match=message):
        sparsify(adapters, sparsity=0.5, faithful=True, **options, **evidence(adapters, example))


def test_pruned_sets_are_refused(build: Build) -> None:
    adapters = lora(build, "normal")()
    sparsify(adapters, method="magnitude", sparsity=0.5)
    with pytest.raises(ValueError, match="pruned already"):
        sparsify(adapters, method="magnitude", sparsity=0.8, faithful=True)


def test_shuffling_does_nothing_there_and_one_round_is_the_default(build: Build, example: Callable) -> None:
    results = []
    for options in ({}, {"shuffle_within_layer": True}, {"rounds": 1}, {"rounds": 100}):
        adapters = attach(build("timm_vit"), BottleneckConfig(r=12, init="normal"))
        sparsify(adapters, method="synflow", density=0.1, faithful=True, **options, **evidence(adapters, example))
        results.append(torch.cat([mask.flatten() for mask in masks(adapters)]))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[3]) and set(CRITERIA) >= {"synflow"}
