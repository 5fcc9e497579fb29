"""A partition is not lost on the way through a state dict, whatever was partitioned, and nothing of it is ignored."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import linear_view
from sparsebench.models.dynamic import (
    ConvConfig,
    MixtureConfig,
    MixtureLinear,
    PartiallyDynamic,
    compact,
    freeze_idle,
    make_dynamic,
    partition,
)
from sparsebench.models.dynamic.mode_partition import SCALES

from .partitioning.toy import batches as vectors
from .partitioning.toy import image_batches, od_toy, toy


def mixture() -> nn.Sequential:
    """A linear mixture of four experts, on tokens of five numbers."""
    linear = nn.Linear(5, 6)
    config = MixtureConfig(num_kernels=4, noise=0.5)
    generator = torch.Generator().manual_seed(0)
    return nn.Sequential(MixtureLinear.of(linear_view(linear), config, generator).double())


MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "kernels": (toy, "kernels"),
    "mixture": (mixture, "kernels"),
    "attentions": (od_toy, "attentions"),
    "both": (od_toy, "both"),
}


def made(name: str, scale: str = "both") -> nn.Module:
    """Partitioned, with factors and static weights that training has moved."""
    build, of = MODELS[name]
    model = build().eval()
    generator = torch.Generator().manual_seed(3)
    partition(model, 0.4, criterion="random", of=of, scale=scale, generator=generator)
    for module in model.modules():
        if isinstance(module, PartiallyDynamic) and module.partition is not None:
            module.partition.phi.data.fill_(0.3)
            module.partition.static.data.normal_(generator=generator)
    return model


@pytest.mark.parametrize(
    ("name", "scale"), [*[("kernels", scale) for scale in SCALES], ("mixture", "static"), ("attentions", "pruned")]
)
def test_a_fresh_network_computes_what_the_saved_one_did(name, scale):
    model = made(name, scale)
    fresh = MODELS[name][0]().eval()
    x = (image_batches() if name == "attentions" else vectors())[0]
    assert not torch.equal(fresh(x), model(x))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))
    trained = {key: value.requires_grad for key, value in model.named_parameters() if "phi" in key}
    assert trained == {key: value.requires_grad for key, value in fresh.named_parameters() if "phi" in key}


def test_what_a_partition_that_came_leaves_unused_has_no_gradient():
    """As `partition` itself leaves it: DistributedDataParallel waits for gradients."""
    model = toy()
    for index, mask in {0: torch.zeros(6, 5), 3: torch.ones(3, 6)}.items():
        model[index].set_partition(mask.bool(), scale="static")
    freeze_idle(model)
    fresh = toy()
    fresh.load_state_dict(model.state_dict())
    gradients = {key: value.requires_grad for key, value in fresh.named_parameters()}
    assert gradients == {key: value.requires_grad for key, value in model.named_parameters()}
    assert not gradients["0.bank"] and not gradients["3.partition.static"] and gradients["0.partition.static"]


CONV = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(7))


def conv(kind: str | None = None, kernels: int = 2, ratio: float | None = None, *, small: bool = False, seed: int = 0):
    """A convolution, with values that no other has: static, or dynamic, partitioned and compact."""
    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=2))
    if kind is not None:
        make_dynamic(net, ConvConfig(kind=kind, num_kernels=kernels), modules="0")
    if ratio is not None:
        partition(net, ratio, criterion="random", generator=torch.Generator().manual_seed(seed))
    if small:
        compact(net)
    with torch.no_grad():
        for number, value in enumerate((*net.parameters(), *net.buffers())):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(100 * seed + number)) + 0.5)
    return net.eval()


FORMS: dict[str, Callable[[int], nn.Module]] = {"static": lambda seed: conv(seed=seed)}
for _kind in ("dy_conv", "cond_conv", "od_conv"):
    FORMS[_kind] = partial(lambda kind, seed: conv(kind, seed=seed), _kind)
    FORMS[f"{_kind}, .3"] = partial(lambda kind, seed: conv(kind, ratio=0.3, seed=seed), _kind)
    FORMS[f"{_kind}, .3, compact"] = partial(lambda kind, seed: conv(kind, ratio=0.3, small=True, seed=seed), _kind)
FORMS["dy_conv, 3 kernels"] = lambda seed: conv("dy_conv", 3, seed=seed)
FORMS["dy_conv, .6, compact"] = lambda seed: conv("dy_conv", ratio=0.6, small=True, seed=seed)


def test_a_state_gives_the_saved_network_or_an_error():
    """Every form into every form, with other masks and temperatures: never a third network."""
    for saved_as, saved in FORMS.items():
        model = saved(1)
        for loaded_as, loaded in FORMS.items():
            fresh = loaded(2)
            assert not torch.equal(fresh(CONV), model(CONV))
            brings_its_partition = saved_as == f"{loaded_as}, .3"
            if saved_as == loaded_as or brings_its_partition:
                fresh.load_state_dict(model.state_dict())
                assert torch.equal(fresh(CONV), model(CONV)), (saved_as, loaded_as)
                continue
            with pytest.raises(RuntimeError, match=r"Missing key|Unexpected key|size mismatch"):
                fresh.load_state_dict(model.state_dict())


def test_kernels_and_attentions_of_one_layer_and_models_without_memory_get_theirs():
    model = made("both")
    fresh = od_toy().eval().to("meta")
    fresh.load_state_dict(model.state_dict(), assign=True)
    x = image_batches()[0]
    assert torch.equal(fresh(x), model(x))


def test_another_scale_is_taken_from_the_state():
    model, other = made("kernels", "static"), made("kernels", "none")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(vectors()[0]), model(vectors()[0]))
    assert other[0].partition.phi.requires_grad


def test_states_that_do_not_say_their_scale():
    """Those of earlier versions: they load where the partition is there, and else the way out is said."""
    model = made("kernels", "none")
    state = {key: value for key, value in model.state_dict().items() if not key.endswith("scale_code")}
    again = made("kernels", "none")
    again.load_state_dict(state)
    assert torch.equal(again(vectors()[0]), model(vectors()[0]))
    with pytest.raises(
        RuntimeError, match=r"0.partition cannot be built without scale_code: call set_partition\(scale"
    ):
        toy().load_state_dict(state)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("0.partition.scale_code", torch.tensor(9, dtype=torch.uint8), "scale_code=9 is none of 5 scales"),
        ("0.partition.static", torch.zeros(2, 2), r"static weight \(2, 2\) for a weight of \(6, 5\)"),
    ],
)
def test_damaged_partitions_are_refused(key, value, words):
    state = {**made("kernels").state_dict(), key: value}
    with pytest.raises(RuntimeError, match=words):
        toy().load_state_dict(state)
    with pytest.raises(RuntimeError, match=words if "scale" in key else "size mismatch"):
        made("kernels").load_state_dict(state)


def test_a_state_without_a_partition_does_not_fit_a_partitioned_network():
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*0.partition.static"):
        made("kernels").load_state_dict(toy().state_dict())


def test_a_compact_state_is_unexpected_and_so_is_a_partition_of_a_compact_layer():
    partitioned = made("both")
    small = copy.deepcopy(partitioned)
    compact(small)
    unexpected = toy().load_state_dict(small.state_dict(), strict=False).unexpected_keys
    assert "0.compact.dynamic" in unexpected
    unexpected = od_toy().load_state_dict(small.state_dict(), strict=False).unexpected_keys
    assert "0.attention.taps.compact.weight" in unexpected
    unexpected = small.load_state_dict(partitioned.state_dict(), strict=False).unexpected_keys
    assert {"0.partition.mask", "0.attention.taps.fc.weight", "0.attention.taps.partition.static"} <= set(unexpected)
