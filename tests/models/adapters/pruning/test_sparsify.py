import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.pruning.sparsify import RANDOM, sparsify
from sparsebench.models.counting import count_parameters
from sparsebench.models.sparsity.masked import MaskedLinear
from sparsebench.models.sparsity.scoring import CRITERIA

from ..pruning_tools import LORA, BareSet, Pairs, evidence, loss, masks

Build = Callable[[str], nn.Module]
LINEARS = LoRAConfig(r=4, init="normal", targets=("linears",))  # weights of different shapes


# Which and how many


@pytest.mark.parametrize("name", ["bert", "timm_vit"])
def test_exact_counts(name: str, build: Build, example: Callable, subtests: pytest.Subtests) -> None:
    for sparsity in [0.0, 0.37, 0.95, 1.0]:
        for method in (*CRITERIA, *RANDOM):
            with subtests.test(sparsity=sparsity, method=method):
                model = build(name)
                adapters = attach(model, LINEARS)
                total = adapters.count()
                report = sparsify(adapters, method=method, sparsity=sparsity, rounds=3, **evidence(adapters, example))
                kept = round((1 - sparsity) * total)
                assert sum(int(mask.sum()) for mask in masks(adapters)) == kept == report.kept == adapters.count()
                assert [layer.kept for layer in report.layers] == [int(mask.sum()) for mask in masks(adapters)]
                counts = count_parameters(model)
                assert counts.total - counts.nonzero == total - kept == report.total - report.kept
                assert counts.trainable == adapters.count(head=True) == sum(p.numel() for p in adapters.parameters())


@pytest.mark.parametrize("method", ["random", "magnitude", "snip", "grasp", "synflow"])
def test_local_scope_is_exact_per_weight(method: str, build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), LINEARS)
    report = sparsify(adapters, method=method, density=0.37, scope="local", rounds=2, **evidence(adapters, example))
    assert len({layer.total for layer in report.layers}) > 1
    assert all(layer.kept == round(0.37 * layer.total) for layer in report.layers)


def bare(scores: list[int]) -> BareSet:
    modules = MaskedLinear(3, 2, bias=False), MaskedLinear(2, 3, bias=False)
    for layer, values in zip(modules, (scores[:6], scores[6:]), strict=True):
        layer.stored.data = torch.tensor(values).float().view(layer.shape)
    return BareSet(*modules)


@settings(deadline=None, max_examples=40)
@given(
    scores=st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(lambda s: len(set(s)) > 1),
    sparsity=st.floats(0, 1),
    rounds=st.integers(1, 4),
    schedule=st.sampled_from(["exponential", "linear"]),
)
def test_ties_go_to_the_earlier_position(scores: list[int], sparsity: float, rounds: int, schedule: str) -> None:
    """In one round or several: zeros that stay in the race do not change places."""
    scores = [score + 1 for score in scores]
    adapters = bare(scores)
    report = sparsify(adapters, method="magnitude", sparsity=sparsity, rounds=rounds, schedule=schedule)
    ranked = sorted(range(12), key=lambda i: (-scores[i], i))
    expected = set(ranked[: round((1 - sparsity) * 12)])
    flat = torch.cat([mask.flatten() for mask in masks(adapters)])
    assert {i for i in range(12) if flat[i]} == expected and report.kept == len(expected)
    if 0 < len(expected) < 12 and rounds == 1:
        last, out = scores[ranked[len(expected) - 1]], scores[ranked[len(expected)]]
        assert report.ties == (scores.count(last) if last == out else 0)


@pytest.mark.parametrize("method", ["snip", "synflow", "random"])
def test_rounds_are_nested_and_end_like_calls_in_a_row(method: str, build: Build, example: Callable) -> None:
    """One call with 3 rounds gives the mask of 3 calls with one round each, at the densities of the schedule."""
    whole, steps = attach(build("timm_vit"), LORA), attach(build("timm_vit"), LORA)
    sparsify(whole, method=method, density=0.2, rounds=3, **evidence(whole, example))
    total, given = steps.count(), evidence(steps, example)
    before = masks(steps)
    for step in (1, 2, 3):
        sparsify(steps, method=method, density=round(total * 0.2 ** (step / 3)) / total, rounds=1, **given)
        assert not any((now & ~was).any() for now, was in zip(masks(steps), before, strict=True))
        before = masks(steps)
    assert all(torch.equal(a, b) for a, b in zip(masks(whole), before, strict=True)) or method == "random"


def test_pruning_again_cannot_revive(build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), LORA)
    sparsify(adapters, sparsity=0.8, **evidence(adapters, example))
    with pytest.raises(ValueError, match="earlier pruning left only"):
        sparsify(adapters, method="magnitude", sparsity=0.1)


def test_rounds_change_what_stays(build: Build, example: Callable) -> None:
    results = []
    for rounds, schedule in ((1, "linear"), (5, "linear"), (5, "exponential")):
        adapters = attach(build("timm_vit"), LINEARS)
        sparsify(adapters, density=0.1, rounds=rounds, schedule=schedule, **evidence(adapters, example))
        results.append(torch.cat([mask.flatten() for mask in masks(adapters)]))
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(results, 2))


def test_surviving_values_are_untouched_and_scoring_leaves_no_trace(build: Build, example: Callable) -> None:
    model = build("bert").train()
    adapters = attach(model, LORA)
    before = {name: layer.effective().detach().clone() for name, layer in adapters.prunable().items()}
    for method, rounds in (("snip", 2), ("grasp", 1), ("synflow", None)):
        pruned = copy.deepcopy(adapters)
        sparsify(pruned, method=method, sparsity=0.5, rounds=rounds, **evidence(pruned, example))
        for name, layer in pruned.prunable().items():
            assert torch.equal(layer.effective(), torch.where(layer.mask, before[name], 0))
        assert pruned.model.training and all(parameter.grad is None for parameter in pruned.model.parameters())


def test_dropout_and_no_grad_do_not_enter_the_scores(build: Build, example: Callable) -> None:
    results = []
    for training in (True, False):
        adapters = attach(build("bert").train(training), LORA)
        with torch.set_grad_enabled(training):
            sparsify(adapters, sparsity=0.5, **evidence(adapters, example))
        results.append(torch.cat([mask.flatten() for mask in masks(adapters)]))
    assert torch.equal(*results)


def test_a_frozen_set_can_be_scored_and_stays_frozen(build: Build, example: Callable) -> None:
    for method in ("snip", "grasp"):
        adapters = attach(build("timm_vit"), LORA).requires_grad_(False)
        report = sparsify(adapters, method=method, sparsity=0.5, **evidence(adapters, example))
        assert report.kept == report.total // 2
        assert not any(weight.requires_grad for weight in adapters.weights().values())


def test_shuffling_keeps_the_counts_of_the_layers(build: Build, example: Callable) -> None:
    plain, shuffled = attach(build("timm_vit"), LORA), attach(build("timm_vit"), LORA)
    one = sparsify(plain, sparsity=0.6, **evidence(plain, example))
    two = sparsify(shuffled, sparsity=0.6, shuffle_within_layer=True, **evidence(shuffled, example))
    assert [layer.kept for layer in one.layers] == [layer.kept for layer in two.layers]
    assert any(not torch.equal(a, b) for a, b in zip(masks(plain), masks(shuffled), strict=True))


@pytest.mark.parametrize("method", ["random", "er"])
def test_random_follows_the_generator(method: str, build: Build) -> None:
    def draw(seed: int) -> Tensor:
        adapters = attach(build("timm_vit"), LORA)
        sparsify(adapters, method=method, sparsity=0.5, generator=torch.Generator().manual_seed(seed))
        return torch.cat([mask.flatten() for mask in masks(adapters)])

    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))


def test_two_sets_are_pruned_apart(build: Build, example: Callable) -> None:
    model = build("timm_vit")
    first, second = attach(model, LORA, "first"), attach(model, LORA, "second")
    sparsify(second, sparsity=0.5, **evidence(second, example))
    assert all(mask.all() for mask in masks(first)) and not all(mask.all() for mask in masks(second))


# What it does to the model


@pytest.mark.parametrize("config", [LORA, BottleneckConfig(r=4, init="normal"), ConvConfig(r=4, init="normal")])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_removed_weights_stay_zero(config: object, optimizer: type, build: Build, example: Callable) -> None:
    """Fifty steps with weight decay: removed entries are bit-identical +0, the others, and the head, move."""
    model = build("efficientnet" if isinstance(config, ConvConfig) else "timm_vit")
    adapters = attach(model, config)
    sparsify(adapters, sparsity=0.6, **evidence(adapters, example))
    masks_before, before = masks(adapters), copy.deepcopy(model.state_dict())
    trained = {f"{name}.values" for name, module in model.named_modules() if module in adapters.prunable().values()}
    extra = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    stepper = optimizer(adapters.parameters(), lr=1e-3, weight_decay=0.1, **extra)
    model.train()
    for step in range(50):
        stepper.zero_grad()
        loss(model, example(model, step)).backward()
        stepper.step()
    for layer, mask in zip(adapters.prunable().values(), masks_before, strict=True):
        zero = torch.zeros(int((~mask).sum())).view(torch.int32)
        assert torch.equal(layer.effective()[~mask].view(torch.int32), zero)
    open_ = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (name not in open_ or value.numel() == 0), name
    assert trained <= open_ and any("head" in name or "classifier" in name for name in open_)


@pytest.mark.parametrize("config", [LINEARS, BottleneckConfig(r=4, init="normal")])
@pytest.mark.parametrize("method", ["magnitude", "random", "synflow"])
def test_sparsity_0_and_1(config: object, method: str, build: Build, example: Callable, run: Callable) -> None:
    """Density 1 is the dense adapter, bit for bit; density 0 the base model."""
    model = build("timm_vit")
    batch, base = example(model), run(model, example(model))
    adapters = attach(model, config)
    dense = run(model, batch)
    sparsify(adapters, method=method, sparsity=0, **evidence(adapters, example))
    assert torch.equal(run(model, batch), dense) and not torch.equal(dense, base)
    sparsify(adapters, method=method, sparsity=1, **evidence(adapters, example))
    assert torch.equal(run(model, batch), base)


# Bad input


@pytest.mark.parametrize("config", [LoRAConfig(r=4), BottleneckConfig(r=4)])
@pytest.mark.parametrize("method", ["snip", "synflow"])
def test_zero_factor_is_refused(config: object, method: str, build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), config)
    with pytest.raises(ValueError, match=r"all scores equal 0.*init='normal'"):
        sparsify(adapters, method=method, sparsity=0.5, **evidence(adapters, example))
    assert all(mask.all() for mask in masks(adapters))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "snipe"}, "did you mean 'snip'"),
        ({"method": "erdos"}, "criterion='erdos' is not one of random, magnitude, snip, grasp, synflow, er, erk"),
        ({"scope": "globl"}, "did you mean 'global'"),
        ({"schedule": "exp"}, "schedule='exp' is not one of"),
        ({"granularity": "row"}, "granularity='row' is not one of weight, unit"),
        ({"sparsity": 1.5}, "sparsity=1.5 is the fraction removed"),
        ({"sparsity": float("nan")}, "fraction removed"),
        ({"sparsity": None, "density": -0.1}, "density=-0.1 is the fraction kept"),
        ({"density": 0.5}, "not both"),
        ({"sparsity": None}, "not neither"),
        ({"rounds": 0}, "rounds=0 must be a whole number"),
        ({"method": "random", "generator": None}, "needs a generator"),
        ({"shuffle_within_layer": True, "generator": None}, "needs a generator"),
        ({"batches": None}, "needs batches"),
        ({"batches": []}, "got no batch"),
        ({"method": "grasp", "batches": []}, "got no batch"),
        ({"loss_fn": lambda model, batch: loss(model, batch) * float("nan")}, "NaN or infinite: nothing was pruned"),
        ({"loss_fn": lambda model, batch: 0.5}, "loss_fn gave a float"),
        ({"loss_fn": lambda model, batch: model(batch)}, r"loss_fn gave a tensor of shape \(2, 3\)"),
        ({"loss_fn": lambda model, batch: torch.zeros(())}, "depends on the weights to prune"),
        ({"method": "er", "scope": "local"}, "sets the densities"),
        ({"method": "erk", "granularity": "unit"}, "sets the densities"),
    ],
)
def test_bad_input(fields: dict, message: str, build: Build, example: Callable) -> None:
    model = build("timm_vit")
    adapters = attach(model, LORA)
    before = copy.deepcopy(adapters.state_dict())
    with pytest.raises(ValueError, match=message):
        sparsify(adapters, **({"sparsity": 0.5} | evidence(adapters, example) | fields))
    after = adapters.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert not model.training


def test_a_failure_in_a_later_round_prunes_nothing(build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), LORA)
    before, calls = copy.deepcopy(adapters.state_dict()), itertools.count()

    def fails_later(model: nn.Module, batch: Tensor) -> Tensor:
        return loss(model, batch) * (1.0 if next(calls) < 2 else float("nan"))

    with pytest.raises(ValueError, match="NaN or infinite"):
        sparsify(adapters, density=0.1, rounds=3, **(evidence(adapters, example) | {"loss_fn": fails_later}))
    assert all(torch.equal(before[key], value) for key, value in adapters.state_dict().items())


def test_a_set_without_prunable_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="no weights that can be pruned"):
        sparsify(BareSet(nn.Linear(2, 2)), method="magnitude", sparsity=0.5)  # type: ignore[arg-type]


def test_synflow_needs_pairs() -> None:
    with pytest.raises(ValueError, match="in 0 pairs of `down` and `up`"):
        sparsify(bare(list(range(12))), method="synflow", sparsity=0.5)  # type: ignore[arg-type]
    both = Pairs(4, 2)
    other = Pairs(4, 2)
    other.down = both.down
    with pytest.raises(ValueError, match="in 2 pairs"):
        sparsify(BareSet(both, other), method="synflow", sparsity=0.5)  # type: ignore[arg-type]
