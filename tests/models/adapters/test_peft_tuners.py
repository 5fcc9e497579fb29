"""Bottlenecks as a method of PEFT compute what they do here, and do what every method of PEFT does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.errors import ModelError

from ..agreement import agree
from .conftest import noise

peft = pytest.importorskip("peft")
from sparsebench.models.adapters.peft_tuners import PeftBottleneckConfig  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], Any]
PLACES = [
    (family, placement)
    for family in ("llama", "bert", "vit", "timm_vit")
    for placement in ("houlsby", "pfeiffer", "sequential", "parallel")
]


def wrapped(model: nn.Module, **options: Any) -> Any:
    """A PEFT model with noise in its adapters."""
    found = peft.get_peft_model(model, PeftBottleneckConfig(**({"r": 3} | options))).eval()
    noise(value for name, value in found.named_parameters() if "bottleneck_" in name)
    return found


def through(model: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad():
        out = model(batch)
    return out if isinstance(out, Tensor) else out.logits


@pytest.mark.parametrize(("family", "placement"), PLACES)
def test_where_the_placement_has_adapters(
    family: str, placement: Any, build: Build, example: Callable, tmp_path: Path
) -> None:
    """With the same weights, bit for bit what `attach` gives; saved and loaded; off, as before."""
    theirs = wrapped(build(family), placement=placement, scale="learned", norm="in")
    ours = build(family)
    config = BottleneckConfig(r=3, placement=placement, scale="learned", norm="in", train_head=False)
    adapters = attach(ours, config)
    state = {}
    for name, value in theirs.state_dict().items():
        if ".bottleneck_changes." in name:
            state[name.removeprefix("base_model.model.").replace("bottleneck_changes.default.", "")] = value
    adapters.load_state_dict({key.replace(".base_layer.", "."): value for key, value in state.items()})
    batch = example(ours)
    agree(through(theirs, batch), through(ours, batch), "logits")
    assert sum(p.numel() for p in theirs.parameters() if p.requires_grad) == adapters.count()
    theirs.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(build(family), tmp_path, adapter_name="other").eval()
    agree(through(again, batch), through(theirs, batch), "logits")
    with theirs.disable_adapter():
        assert torch.equal(through(theirs, batch), through(build(family), batch))
    assert len(describe(theirs).blocks) == 2, "describers see through the layers"


def test_two_adapters(build: Build, example: Callable) -> None:
    """Both act if both are active; one can be deleted, and all taken off."""
    model = wrapped(build("bert"), placement="houlsby")
    batch = example(model)
    alone = through(model, batch)
    model.add_adapter("second", PeftBottleneckConfig(r=2, placement="houlsby"))
    noise(value for name, value in model.named_parameters() if ".second." in name)
    assert torch.equal(through(model, batch), alone)
    model.base_model.set_adapter(["default", "second"])
    both = through(model, batch)
    model.set_adapter("second")
    assert not torch.equal(through(model, batch), both) and not torch.equal(both, alone)
    model.set_adapter("default")
    model.delete_adapter("second")
    assert torch.equal(through(model, batch), alone)
    assert torch.equal(through(model.unload(), batch), through(build("bert"), batch))


def test_the_active_one_and_the_head_train(build: Build, example: Callable) -> None:
    model = wrapped(build("bert"), placement="pfeiffer", task_type="SEQ_CLS")
    model.add_adapter("second", PeftBottleneckConfig(r=2, placement="pfeiffer", task_type="SEQ_CLS"))
    model.set_adapter("second")
    noise(value for name, value in model.named_parameters() if ".second." in name)
    model.train()
    model(example(model)).logits.square().mean().backward()
    trained = {name for name, value in model.named_parameters() if value.grad is not None}
    assert all(".second." in name for name in trained) and len(trained) == 2 * 4 + 2
    assert sum("classifier" in name for name in trained) == 2


def test_modules_by_name(build: Build) -> None:
    """Where no anatomy is known, and where the placement has none."""
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 5))).eval()
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    before = through(plain, x)
    start = peft.get_peft_model(plain, PeftBottleneckConfig(r=2, target_modules=["0", "2"], placement="sequential"))
    assert torch.equal(through(start, x), before)
    first, second, *_ = (value for name, value in start.named_parameters() if name.endswith("down.weight"))
    assert not torch.equal(first, second), "one start for all"
    noise(parameter for parameter in start.parameters() if parameter.requires_grad)
    changed = through(start, x)
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.equal(through(start.unload(), x), before)
    llama = wrapped(build("llama"), target_modules=["q_proj"], placement="sequential", width=None)
    assert sum(".q_proj.bottleneck_changes." in name for name, _ in llama.named_parameters()) == 8


def test_what_cannot_be_is_refused(build: Build) -> None:
    plain = nn.Sequential(nn.Linear(6, 8))
    with pytest.raises(UnknownAnatomy, match="or name target_modules"):
        peft.get_peft_model(plain, PeftBottleneckConfig())
    with pytest.raises(ModelError, match="placement='houlsby' needs to know the blocks"):
        peft.get_peft_model(plain, PeftBottleneckConfig(target_modules=["0"], placement="houlsby"))
    with pytest.raises(ModelError, match="beside it a bottleneck needs as many"):
        peft.get_peft_model(plain, PeftBottleneckConfig(target_modules=["0"], placement="parallel"))
    with pytest.raises(ModelError, match="activation"):
        PeftBottleneckConfig(activation="relux")
    with pytest.raises(ModelError, match="not linear in their input"):
        wrapped(build("llama")).merge_and_unload()
    mixed = wrapped(build("llama"), placement="sequential")
    with pytest.raises(ModelError, match="act as a ParallelAdapter where others act as SequentialAdapter"):
        mixed.add_adapter("other", PeftBottleneckConfig(placement="parallel"))
