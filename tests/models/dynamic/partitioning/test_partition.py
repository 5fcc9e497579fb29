"""Iterative Mode Partition: exact counts, rounds that nest, controls, and refusals that leave the model alone."""

import copy
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import dynamic_layers
from sparsebench.models.dynamic.partitioning.scores import Criterion
from sparsebench.models.dynamic.partitioning.warm_up import WarmUp
from sparsebench.models.errors import ModelError

from .toy import batches, copies, loss, toy

DATA = {"batches": batches(), "loss_fn": loss}


def masks(model: nn.Module) -> list[Tensor]:
    return [layer.partition.mask for layer in dynamic_layers(model).values()]


def zero_resnet() -> nn.Module:
    """Four blocks, whose last norms start at 0, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ResNet(BasicBlock, (1, 1, 1, 1), channels=(4, 6, 8, 8), num_classes=3)
        net.init_weights(zero_init_last=True)
    return make_dynamic(net, ConvConfig(num_kernels=2)).eval()


def flat(model: nn.Module) -> Tensor:
    return torch.cat([mask.flatten() for mask in masks(model)])


@settings(deadline=None, max_examples=25)
@given(ratio=st.floats(0, 1), rounds=st.integers(1, 3), schedule=st.sampled_from(["exponential", "linear"]))
def test_exactly_so_many_weights_stay_dynamic(ratio, rounds, schedule):
    model = toy()
    report = partition(model, ratio, rounds=rounds, schedule=schedule, **DATA)
    assert int(flat(model).sum()) == round(ratio * 48)
    assert report.dynamic_ratio == pytest.approx(round(ratio * 48) / 48)
    local = toy()
    partition(local, ratio, scope="local", rounds=rounds, schedule=schedule, **DATA)
    assert [int(mask.sum()) for mask in masks(local)] == [round(ratio * 30), round(ratio * 18)]


@pytest.mark.parametrize(("granularity", "dim", "sizes"), [("row", 0, [6, 3]), ("channel", 1, [5, 6])])
def test_whole_rows_or_channels_stay_dynamic(granularity, dim, sizes):
    model = toy()
    partition(model, 0.5, granularity=granularity, **DATA)
    dynamic = 0
    for mask, size in zip(masks(model), sizes, strict=True):
        slices = mask.movedim(dim, 0).flatten(1)
        assert len(slices) == size and torch.equal(slices.all(1), slices.any(1))
        dynamic += int(slices.all(1).sum())
    assert dynamic == round(0.5 * sum(sizes))


def test_the_weights_of_greatest_switch_score_stay_dynamic():
    """Against sorting the derivatives by the mask, found by differences, of both layers together."""
    model = toy()
    partition(model, 1.0, **DATA)
    layers = list(dynamic_layers(model).values())
    for number, layer in enumerate(layers):
        layer.partition.static.data.normal_(generator=torch.Generator().manual_seed(number))
    model.eval()
    found = []
    for layer in layers:
        with layer.partition.relaxed() as open_mask:
            total = sum((loss(model, batch) for batch in batches()), torch.zeros(()))
            (slope,) = torch.autograd.grad(total, open_mask)
        found.append(slope.abs().flatten())
    best = torch.cat(found).argsort(descending=True)[:12]
    fresh = toy()
    for number, layer in enumerate(dynamic_layers(fresh).values()):
        static = torch.empty(layer.weight_shape, dtype=torch.float64)
        static.normal_(generator=torch.Generator().manual_seed(number))
        layer.static_start = lambda static=static: static
    partition(fresh, 0.25, **DATA)
    assert set(flat(fresh).nonzero()[:, 0].tolist()) == set(best.tolist())


def test_several_rounds_choose_otherwise_than_one():
    once, often = toy(), toy()
    for model, rounds in ((once, 1), (often, 5)):
        for layer in dynamic_layers(model).values():
            layer.static_start = lambda shape=layer.weight_shape: torch.ones(shape, dtype=torch.float64)
        partition(model, 0.3, rounds=rounds, **DATA)
    assert not torch.equal(flat(once), flat(often))


@pytest.mark.parametrize("criterion", [name for name in get_args(Criterion) if name != "random"])
def test_every_criterion_partitions_and_is_deterministic(criterion):
    chosen = []
    for _ in range(2):
        model = toy()
        report = partition(model, 0.4, criterion=criterion, **DATA)
        assert report.criterion == criterion and int(flat(model).sum()) == round(0.4 * 48)
        chosen.append(flat(model).clone())
    assert torch.equal(*chosen)


def test_a_random_partition_is_that_of_its_generator():
    chosen = []
    for seed in (0, 0, 1):
        model = toy()
        partition(model, 0.4, criterion="random", generator=torch.Generator().manual_seed(seed))
        chosen.append(flat(model))
    assert torch.equal(chosen[0], chosen[1]) and not torch.equal(chosen[0], chosen[2])


def test_inverted_and_switch_share_nothing_at_half():
    chosen = []
    for criterion in ("switch", "inverted"):
        model = toy()
        partition(model, 0.5, criterion=criterion, **DATA)
        chosen.append(flat(model))
    assert torch.equal(chosen[0], ~chosen[1])


def test_all_and_nothing_need_no_data_and_no_scores():
    everything, nothing = toy(), toy()
    x = batches()[0]
    before = everything.eval()(x)
    partition(everything, 1.0)
    assert flat(everything).all()
    torch.testing.assert_close(everything(x), before)
    partition(nothing, 0.0)
    assert not flat(nothing).any()


def test_a_random_static_start_has_the_law_of_the_release():
    model = toy()
    partition(model, 1.0, static="random", generator=torch.Generator().manual_seed(0))
    again = toy()
    partition(again, 1.0, static="random", generator=torch.Generator().manual_seed(0))
    for layer, other in zip(dynamic_layers(model).values(), dynamic_layers(again).values(), strict=True):
        static = layer.partition.static
        assert torch.equal(static, other.partition.static)
        fan_out = layer.weight_shape[0]
        assert static.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.5)
        assert not torch.allclose(static, layer.bank.mean(0))


def test_scales_are_those_asked_for():
    model = toy()
    partition(model, 0.5, scale="pruned", criterion="remove", **DATA)
    assert {layer.partition.scale for layer in dynamic_layers(model).values()} == {"pruned"}


@pytest.mark.parametrize("criterion", ["switch", "inverted"])
def test_copies_tie_and_there_is_a_way_out(criterion):
    """The case of a pre-trained model: kernels and static weight are one tensor, and no switch changes anything."""
    model = copies(toy())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=r"criterion='remove', or warmup=WarmUp\(\)"):
        partition(model, 0.3, criterion=criterion, **DATA)
    assert all(layer.partition is None for layer in dynamic_layers(model).values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    partition(model, 0.3, criterion="remove", **DATA)
    assert int(flat(model).sum()) == round(0.3 * 48)
    warmed = copies(toy())
    partition(warmed, 0.3, criterion=criterion, warmup=WarmUp(steps=3, learning_rate=0.01), **DATA)
    assert int(flat(warmed).sum()) == round(0.3 * 48)
    now = warmed.state_dict()
    assert all(torch.equal(value, now[name]) for name, value in before.items()), "the warm-up is no lead in training"


@pytest.mark.parametrize("criterion", ["switch", "remove"])
def test_the_way_out_works_behind_norms_that_start_at_zero(criterion):
    """A stock ResNet: the last norm of each residual block starts at 0, and no convolution before it has a gradient."""
    net = zero_resnet()
    images = [torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))]
    data = {"criterion": criterion, "batches": images, "loss_fn": loss}
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ModelError, match=r"take\s+.*warmup=WarmUp\(\)"):
        partition(net, 0.9, **data)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    partition(net, 0.9, warmup=WarmUp(), **data)
    assert int(flat(net).sum()) == round(0.9 * flat(net).numel())


def test_a_warm_up_that_was_in_vain_leaves_no_trace():
    net = zero_resnet()
    before = copy.deepcopy(net.state_dict())

    def spoilt(model, batch):
        return loss(model, batch) * float("nan" if model.layer1[0].bn2.weight.any() else 1)

    with pytest.raises(ModelError, match="NaN or infinite"):
        partition(net, 0.9, warmup=WarmUp(steps=1), batches=[torch.ones(2, 3, 32, 32)], loss_fn=spoilt)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_beyond_its_bounds_is_refused(ratio):
    with pytest.raises(ModelError, match="must lie between 0 and 1"):
        partition(toy(), ratio, **DATA)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"criterion": "swich"}, "did you mean 'switch'"),
        ({"scope": "all"}, "scope='all'"),
        ({"granularity": "rows"}, "did you mean 'row'"),
        ({"schedule": "cosine"}, "schedule='cosine'"),
        ({"scale": "sum"}, "scale='sum'"),
        ({"static": "zero"}, "static='zero'"),
        ({"rounds": 0}, "rounds=0"),
        ({"static": "random"}, "needs a generator"),
        ({"batches": None}, "needs batches"),
        ({"batches": []}, "got no batch"),
        ({"batches": [], "warmup": WarmUp()}, "got no batch"),
        ({"loss_fn": None, "warmup": WarmUp()}, "warmup needs batches"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(options, words):
    model = toy().train()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=words):
        partition(model, 0.3, **{**DATA, **options})
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(value, before[name]) for name, value in after.items())
    assert all(module.training for module in model.modules())


def test_nothing_dynamic_and_partitioned_already():
    with pytest.raises(ModelError, match="no dynamic layer"):
        partition(nn.Sequential(nn.Linear(3, 3)), 0.3, **DATA)
    model = toy()
    partition(model, 0.5, **DATA)
    with pytest.raises(ModelError, match="partitioned already"):
        partition(model, 0.2, **DATA)
    compact(model)
    with pytest.raises(ModelError, match="partition before compact"):
        partition(model, 0.2, **DATA)
