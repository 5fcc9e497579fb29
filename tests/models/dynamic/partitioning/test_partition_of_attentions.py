"""Iterative Mode Partition of ODConv's attentions: exact counts, what is left alone, ties, controls, undoing."""

import copy
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsebench.models.dynamic.partitioning.attention_scores import ATTENTION_EFFECTS
from sparsebench.models.dynamic.partitioning.candidates import Granularity
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import attention_vectors, dynamic_layers
from sparsebench.models.dynamic.partitioning.warm_up import WarmUp
from sparsebench.models.errors import ModelError

from .toy import FACTORS, image_batches, loss, od_toy

DATA = {"batches": image_batches(), "loss_fn": loss}
KERNELS = 6 * 4 * 9 + 3 * 6


def flat(model: nn.Module) -> Tensor:
    return torch.cat([vector.partition.mask for vector in attention_vectors(model).values()])


def kernel_masks(model: nn.Module) -> Tensor:
    return torch.cat([layer.partition.mask.flatten() for layer in dynamic_layers(model).values()])


@settings(deadline=None, max_examples=15)
@given(ratio=st.floats(0, 1), rounds=st.integers(1, 2), granularity=st.sampled_from(get_args(Granularity)))
def test_exactly_so_many_factors_stay_dynamic(ratio, rounds, granularity):
    """A factor is a candidate by itself, whatever the granularity of kernels."""
    model = od_toy()
    report = partition(model, ratio, of="attentions", rounds=rounds, granularity=granularity, **DATA)
    assert int(flat(model).sum()) == round(ratio * 28)
    assert report.dynamic_ratio == pytest.approx(round(ratio * 28) / 28)
    local = od_toy()
    partition(local, ratio, of="attentions", scope="local", rounds=rounds, granularity=granularity, **DATA)
    counts = [int(vector.partition.mask.sum()) for vector in attention_vectors(local).values()]
    assert counts == [round(ratio * total) for total in FACTORS.values()]


@pytest.mark.parametrize("criterion", [name for name in ATTENTION_EFFECTS if name != "random"])
def test_of_both_each_kind_keeps_its_share_as_if_it_were_alone(criterion):
    both, kernels, attentions = od_toy(), od_toy(), od_toy()
    report = partition(both, 0.4, of="both", criterion=criterion, **DATA)
    partition(kernels, 0.4, criterion=criterion, **DATA)
    partition(attentions, 0.4, of="attentions", criterion=criterion, **DATA)
    assert torch.equal(kernel_masks(both), kernel_masks(kernels)) and torch.equal(flat(both), flat(attentions))
    assert (int(kernel_masks(both).sum()), int(flat(both).sum())) == (round(0.4 * KERNELS), round(0.4 * 28))
    assert len(report.layers) == 2 and [one.name for one in report.attentions] == list(FACTORS)


def test_what_is_not_asked_for_is_left_alone():
    kernels, attentions = od_toy(), od_toy()
    partition(kernels, 0.4, **DATA)
    assert all(vector.partition is None for vector in attention_vectors(kernels).values())
    partition(attentions, 0.4, of="attentions", **DATA)
    assert all(layer.partition is None for layer in dynamic_layers(attentions).values())
    chosen = kernel_masks(kernels).clone()
    partition(kernels, 0.5, of="attentions", **DATA)
    assert torch.equal(kernel_masks(kernels), chosen) and int(flat(kernels).sum()) == 14


def test_the_factors_of_greatest_switch_score_stay_dynamic():
    model = od_toy()
    partition(model, 1.0, of="attentions", **DATA)
    vectors = list(attention_vectors(model).values())
    model.eval()
    found = []
    for vector in vectors:
        with vector.partition.relaxed() as open_mask:
            total = sum((loss(model, batch) for batch in image_batches()), torch.zeros(()))
            (slope,) = torch.autograd.grad(total, open_mask)
        found.append(slope.abs())
    best = torch.cat(found).argsort(descending=True)[:7]
    chosen, inverted = od_toy(), od_toy()
    partition(chosen, 0.25, of="attentions", **DATA)
    assert set(flat(chosen).nonzero()[:, 0].tolist()) == set(best.tolist())
    partition(inverted, 0.75, of="attentions", criterion="inverted", **DATA)
    assert torch.equal(flat(inverted), ~flat(chosen))


def test_with_all_static_the_factors_are_constants():
    model = od_toy()
    partition(model, 0.0, of="attentions")
    model.eval()
    x = torch.cat(image_batches())
    factors = model[0].factors(x)
    for name, vector in model[0].attention.vectors().items():
        expected = torch.sigmoid(vector.fc.bias.detach() / 2.0).expand(len(x), -1)
        torch.testing.assert_close(getattr(factors, name).detach(), expected)
    assert factors.kernels.std(0).min() > 0, "the attention for kernels is as dynamic as before"


def test_all_dynamic_computes_what_it_did():
    model = od_toy().eval()
    before = model(image_batches()[0])
    partition(model, 1.0, of="both")
    torch.testing.assert_close(model(image_batches()[0]), before)


@pytest.mark.parametrize("criterion", ["switch", "inverted", "magnitude", "grasp"])
def test_attentions_as_they_start_tie_and_there_is_a_way_out(criterion):
    """Their rows are 0, so that every factor is 1/2 whatever comes in, and so is every constant."""
    model = od_toy(trained=False)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=r"all 28 scores of all attentions.*criterion='remove', or warmup=WarmUp"):
        partition(model, 0.3, of="attentions", criterion=criterion, **DATA)
    assert all(vector.partition is None for vector in attention_vectors(model).values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    warmed = od_toy(trained=False)
    partition(warmed, 0.3, of="attentions", criterion=criterion, warmup=WarmUp(steps=3, learning_rate=0.01), **DATA)
    assert int(flat(warmed).sum()) == round(0.3 * 28)
    local = od_toy(trained=False)
    with pytest.raises(ModelError, match=r"all 4 scores of 0\.attention\.inputs by"):
        partition(local, 0.5, of="attentions", criterion=criterion, scope="local", **DATA)


def test_removal_and_chance_choose_among_attentions_as_they_start():
    for options in ({"criterion": "remove", **DATA}, {"criterion": "random", "generator": torch.Generator()}):
        model = od_toy(trained=False)
        partition(model, 0.3, of="attentions", **options)
        assert int(flat(model).sum()) == round(0.3 * 28)


def test_every_attention_has_its_own_scales():
    model = od_toy()
    partition(model, 0.5, of="attentions", scale="static", **DATA)
    phis = [vector.partition.phi for vector in attention_vectors(model).values()]
    assert len({id(phi) for phi in phis}) == 5
    assert {vector.partition.scale for vector in attention_vectors(model).values()} == {"static"}


def test_masks_and_constants_are_in_the_state():
    model = od_toy()
    partition(model, 0.5, of="attentions", **DATA)
    for vector in attention_vectors(model).values():
        vector.partition.static.data += 0.1
        vector.partition.phi.data.fill_(0.2)
    state = model.state_dict()
    assert {f"{name}.partition.{part}" for name in FACTORS for part in ("mask", "static", "phi")} <= state.keys()
    again = od_toy(trained=False)
    partition(again, 1.0, of="attentions")
    again.load_state_dict(state)
    x = image_batches()[0]
    assert torch.equal(again.eval()(x), model.eval()(x)) and torch.equal(flat(again), flat(model))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"of": "attention"}, "did you mean 'attentions'"),
        ({"static": "random", "generator": torch.Generator()}, "there is none of attentions"),
        ({"batches": None}, "needs batches"),
        ({"scale": "sum"}, "scale='sum'"),
        ({"batches": [image_batches()[0] * float("nan")]}, r"scores of 0\.attention\.inputs by .* are NaN"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(options, words):
    model = od_toy().train()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=words):
        partition(model, 0.3, **{"of": "attentions", **DATA, **options})
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(value, before[name]) for name, value in after.items())
    assert all(module.training for module in model.modules())


def test_an_error_leaves_the_partitions_that_there_were():
    """Of kernels, partitioned before, and of an attention whose partition left all of it dynamic."""
    model = od_toy()
    partition(model, 0.5, **DATA)
    taps = model[0].attention.taps
    taps.set_partition(static=torch.full((9,), 0.3, dtype=torch.float64), scale="none")
    own, before = taps.partition, copy.deepcopy(model.state_dict())
    broken = [image_batches()[0] * float("nan")]
    with pytest.raises(ModelError, match="NaN"):
        partition(model, 0.3, of="attentions", batches=broken, loss_fn=loss, warmup=WarmUp(steps=1))
    assert taps.partition is own and model[0].attention.inputs.partition is None
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(value, before[name]) for name, value in after.items())
