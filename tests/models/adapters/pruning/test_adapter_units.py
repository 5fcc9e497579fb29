import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import remove_dead_units
from sparsebench.models.adapters.adapter_set import AdapterSet
from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.pruning.adapter_units import pairs
from sparsebench.models.adapters.pruning.sparsify import sparsify
from sparsebench.models.sparsity.bottleneck_units import Pair, dead_units
from sparsebench.models.sparsity.scoring import CRITERIA, Evidence

from ..pruning_tools import LORA, BareSet, Pairs, evidence, loss

Build = Callable[[str], nn.Module]
CASES = {
    "lora": ("timm_vit", LoRAConfig(r=8, init="normal")),
    "lora_large": ("llama", LoRAConfig(r=8, init="normal", targets=("linears",))),
    "lora_conv": ("efficientnet", LoRAConfig(r=4, init="normal", targets=("linears",))),
    "bottleneck": ("bert", BottleneckConfig(r=8, init="normal")),
    "gelu_norm": ("timm_vit", BottleneckConfig(r=8, init="normal", activation="gelu", norm="in", placement="houlsby")),
    "no_bias": ("timm_vit", BottleneckConfig(r=8, init="normal", activation="relu", bias=False)),
    "conv": ("efficientnet", ConvConfig(r=6, init="normal")),
}


def rough(adapters: object) -> None:
    """Weights and biases that matter."""
    for number, layer in enumerate(adapters.prunable().values()):  # type: ignore[attr-defined]
        generator = torch.Generator().manual_seed(number)
        for parameter in layer.parameters():
            parameter.data.normal_(0, 0.2, generator=generator)


def empty(pair: Pair, rows: list[int], columns: list[int]) -> None:
    down, up = pair.down.mask.clone(), pair.up.mask.clone()
    down[rows], up[:, columns] = False, False
    pair.down.prune(down)
    pair.up.prune(up)


@pytest.mark.parametrize("case", CASES)
def test_pairs(case: str, build: Build) -> None:
    family, config = CASES[case]
    adapters = attach(build(family), config)
    found = pairs(adapters)
    assert {id(layer) for pair in found for layer in (pair.down, pair.up)} == {
        id(layer) for layer in adapters.prunable().values()
    }
    assert len({pair.name for pair in found}) == len(found) and {pair.units for pair in found} == {config.r}
    assert all(pair.up.shape[1] == config.r for pair in found)


@pytest.mark.parametrize("case", CASES)
def test_dead_units_go_without_a_trace(case: str, build: Build, example: Callable, run: Callable) -> None:
    """Empty rows, empty columns, and both, with random holes: the outputs are the same to rounding."""
    family, config = CASES[case]
    model = build(family)
    adapters = attach(model, config)
    rough(adapters)
    for layer in adapters.prunable().values():
        layer.prune(torch.rand(layer.shape, generator=torch.Generator().manual_seed(3)) < 0.7)
    for pair in pairs(adapters):
        empty(pair, rows=[0, 2], columns=[2, 3])
    expected = [int(dead_units(pair).sum()) for pair in pairs(adapters)]
    model.double()
    batch, result, before = example(model), run(model, example(model)), adapters.count()
    weights = sum(part.numel() for part in adapters.weights().values())
    removed = remove_dead_units(adapters)
    assert list(removed.values()) == expected and min(expected) >= 3
    torch.testing.assert_close(run(model, batch), result, rtol=1e-9, atol=1e-11)
    assert {pair.units for pair in pairs(adapters)} <= {config.r - n for n in expected}
    assert all(not dead_units(pair).any() for pair in pairs(adapters)) and adapters.count() < before
    assert sum(part.numel() for part in adapters.weights().values()) < weights
    assert not any(remove_dead_units(adapters).values())


def test_a_constant_unit_becomes_bias() -> None:
    """By hand: unit 1 has no input, so it puts out gelu(b_1) times its column."""
    pair = Pairs(4, 3, act=nn.GELU())
    adapters = BareSet(pair)
    bias, column = pair.up.bias.detach().clone(), pair.up.effective()[:, 1].detach().clone()
    constant = nn.functional.gelu(pair.down.bias.detach()[1])
    empty(pairs(adapters)[0], rows=[1], columns=[])  # type: ignore[arg-type]
    assert remove_dead_units(adapters) == {"0": 1}  # type: ignore[arg-type]
    torch.testing.assert_close(pair.up.bias, bias + constant * column)
    assert pair.down.bias.shape == (2,) and pair.down.shape == (2, 4) and pair.up.shape == (4, 2)


def test_a_constant_that_no_bias_can_take_stays() -> None:
    class Half(Pairs):
        """A bias into the units, none out of them."""

        def __init__(self) -> None:
            super().__init__(4, 3, act=nn.Sigmoid())
            self.up.bias = None

    pair = Half()
    adapters = BareSet(pair)
    empty(pairs(adapters)[0], rows=[0, 1], columns=[1])  # type: ignore[arg-type]
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    before = pair(x)
    assert remove_dead_units(adapters) == {"0": 1}  # type: ignore[arg-type]
    torch.testing.assert_close(pair(x), before)


def test_when_every_unit_is_dead_one_stays_without_weights() -> None:
    for case in (Pairs(4, 3), Pairs(4, 3, bias=False)):
        adapters = BareSet(case)
        empty(pairs(adapters)[0], rows=[0, 1, 2], columns=[])  # type: ignore[arg-type]
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        before = case(x)
        assert remove_dead_units(adapters) == {"0": 2}  # type: ignore[arg-type]
        torch.testing.assert_close(case(x), before)
        assert case.down.stored.numel() == case.up.stored.numel() == 0


def unit_scores(adapters: object, found: list[Pair], scores: list[Tensor]) -> Tensor:
    """The definition, unit by unit."""
    by_layer = dict(zip(adapters.prunable().values(), scores, strict=True))  # type: ignore[attr-defined]
    return torch.stack(
        [
            by_layer[pair.down].view(pair.down.shape)[j].sum() + by_layer[pair.up].view(pair.up.shape)[:, j].sum()
            for pair in found
            for j in range(pair.units)
        ]
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["magnitude", "snip"])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_units_of_greatest_score_stay(
    case: str, method: str, scope: str, build: Build, example: Callable, run: Callable
) -> None:
    """Narrower dense layers that give what the wide ones give with the other units at 0."""
    family, config = CASES[case]
    model = build(family)
    adapters = attach(model, config)
    rough(adapters)
    given, found = evidence(adapters, example), pairs(adapters)
    facts = Evidence(model=model, pairs=found, batches=given["batches"], loss_fn=loss)
    scores = unit_scores(adapters, found, CRITERIA[method](list(adapters.prunable().values()), facts))
    per_pair = scores.view(len(found), config.r)
    if scope == "global":
        best = (-per_pair.flatten()).argsort(stable=True)[: round(0.4 * scores.numel())]
        keep = torch.zeros(scores.numel(), dtype=torch.bool).index_fill(0, best, True).view_as(per_pair)
    else:
        best = (-per_pair).argsort(dim=1, stable=True)[:, : round(0.4 * config.r)]
        keep = torch.zeros_like(per_pair, dtype=torch.bool).scatter(1, best, True)
    reference = copy.deepcopy((model, adapters))[1]
    for pair, kept in zip(pairs(reference), keep, strict=True):
        pair.down.stored.data[~kept] = 0
        pair.up.stored.data[:, ~kept] = 0
    report = sparsify(adapters, method=method, density=0.4, granularity="unit", scope=scope, **given)
    assert [pair.units for pair in pairs(adapters)] == [max(1, int(row.sum())) for row in keep]
    narrow, wide = run(model.double(), example(model)), run(reference.model.double(), example(model))
    torch.testing.assert_close(narrow, wide, rtol=1e-9, atol=1e-11)
    layers = adapters.prunable().values()
    sizes = [pair.down.shape[1:].numel() + pair.up.shape[:1].numel() for pair in found]
    assert report.kept == sum(int(row.sum()) * size for row, size in zip(keep, sizes, strict=True))
    assert report.kept == sum(layer.stored.numel() for layer in layers) and report.dead_units == int(
        (keep.sum(1) == 0).sum()
    )
    assert all(layer.masked_out() == 0 for layer in layers if layer.stored.numel())


def with_weights(adapters: AdapterSet) -> int:
    return sum(pair.units for pair in pairs(adapters) if pair.down.stored.numel())


@pytest.mark.parametrize("method", ["random", "grasp", "synflow"])
def test_other_criteria_and_rounds_on_units(method: str, build: Build, example: Callable, run: Callable) -> None:
    model = build("timm_vit")
    adapters = attach(model, LORA)
    given = evidence(adapters, example) | {"rounds": 3, "granularity": "unit"}
    sparsify(adapters, method=method, sparsity=0.5, **given)
    assert with_weights(adapters) == 8
    sparsify(adapters, method=method, sparsity=0.5, shuffle_within_layer=True, **given)
    assert with_weights(adapters) == 4
    assert run(model, example(model)).isfinite().all()


def test_no_units_left_is_the_base_model(build: Build, example: Callable, run: Callable) -> None:
    for family, config in CASES.values():
        model = build(family)
        before = run(model, example(model))
        adapters = attach(model, config)
        report = sparsify(adapters, method="magnitude", density=0, granularity="unit")
        assert torch.equal(run(model, example(model)), before) and report.kept == 0


def test_narrow_sets_train_copy_and_travel(build: Build, example: Callable, run: Callable) -> None:
    """State of layers that lost units loads into a set of the full width, and back into itself."""
    for family, config in (CASES["lora"], CASES["bottleneck"], CASES["conv"]):
        model = build(family)
        adapters = attach(model, config)
        sparsify(adapters, density=0.5, granularity="unit", **evidence(adapters, example))
        sparsify(adapters, density=0.7, method="magnitude")
        optimizer = torch.optim.AdamW(adapters.parameters(), lr=1e-2)
        loss(model, example(model)).backward()
        optimizer.step()
        batch, result = example(model), run(model, example(model))
        fresh = attach(build(family), config)
        fresh.load_state_dict(adapters.state_dict())
        for other in (fresh, copy.deepcopy((model, adapters))[1]):
            assert torch.equal(run(other.model, batch), result) and other.count() == adapters.count()


def test_merge_of_narrow_lora(build: Build, example: Callable, run: Callable) -> None:
    model = build("llama")
    adapters = attach(model, LORA)
    rough(adapters)
    sparsify(adapters, sparsity=0.5, granularity="unit", **evidence(adapters, example))
    batch, result = example(model), run(model, example(model))
    adapters.merge()
    torch.testing.assert_close(run(model, batch), result, atol=1e-4, rtol=1e-4)


def test_units_of_a_shared_projection_are_refused() -> None:
    one, two = Pairs(4, 3), Pairs(4, 3)
    two.up = one.up
    adapters = BareSet(one, two)
    for act in (remove_dead_units, lambda a: sparsify(a, method="magnitude", sparsity=0.5, granularity="unit")):
        with pytest.raises(ValueError, match="in 2 pairs"):
            act(adapters)  # type: ignore[arg-type]
