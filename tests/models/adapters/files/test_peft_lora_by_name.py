"""Files of PEFT for models of which no anatomy is known, with a head, both ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import (
    AdapterSet,
    CombinedConfig,
    LoRAConfig,
    load_adapters,
    load_peft,
    save_adapters,
)
from sparsebench.models.adapters.by_name import ByNameConfig, attach_by_name
from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import NEAR, noise

peft = pytest.importorskip("peft")
from sparsebench.models.adapters.peft_tuners import PeftBottleneckConfig  # noqa: E402 - they import PEFT

from .peft_tools import theirs, written  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

CONFIGS: dict[str, Callable[..., Any]] = {
    "lora": lambda **more: peft.LoraConfig(r=2, lora_alpha=5, rank_pattern={"2": 3}, **more),
    "dora": lambda **more: peft.LoraConfig(r=2, use_dora=True, **more),
    "ia3": lambda **more: peft.IA3Config(feedforward_modules=["2"], **more),
    "vera": lambda **more: peft.VeraConfig(r=2, **more),
    "bottleneck": lambda **more: PeftBottleneckConfig(r=2, **more),
}


SECOND = ByNameConfig(modules=("2", r"3\.0"), adapter=LoRAConfig(r=2, alpha=5))


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 5))).eval()


def through(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(torch.linspace(-1, 1, 18).view(3, 6))


@pytest.mark.parametrize("method", CONFIGS)
def test_there_and_back_with_a_head(method: str, tmp_path: Path) -> None:
    config = CONFIGS[method](target_modules=["0", "2"], modules_to_save=["3"])
    peer = theirs(plain(), config, tmp_path / "theirs")
    model = plain()
    with pytest.raises(UnknownAnatomy):
        describe(model)
    adapters = load_peft(model, tmp_path / "theirs")
    agree(through(model), through(peer), "outputs", within=NEAR)
    assert not torch.allclose(through(model), through(plain()), atol=1e-2)
    assert [site.path for site in adapters.heads] == ["3.0"]
    again = written(adapters, plain(), tmp_path / "ours")
    agree(through(again), through(model), "outputs", within=NEAR)
    save_adapters(adapters, tmp_path / "own")
    fresh = plain()
    assert load_adapters(fresh, tmp_path / "own").config == adapters.config
    assert torch.equal(through(fresh), through(model))


def test_a_pattern_means_one_module(tmp_path: Path) -> None:
    """PEFT takes "0" for 3.0, too, whose rank and alpha are those of most here."""

    def two(model: nn.Module) -> AdapterSet:
        first = ByNameConfig(modules=(r"\A0",), adapter=LoRAConfig(r=3, alpha=9))
        return attach_by_name(model, CombinedConfig(parts=(first, SECOND)))

    model = plain()
    adapters = two(model)
    noise(adapters.parameters())
    again = written(adapters, plain(), tmp_path)
    torch.testing.assert_close(through(again), through(model), atol=1e-6, rtol=1e-6)
    loaded = plain()
    load_peft(loaded, tmp_path)
    assert torch.equal(through(loaded), through(model))


@pytest.mark.parametrize(
    ("family", "targets"),
    [("bert", ["pooler.dense", "key"]), ("vit_4d", ["projection", "fc1"])],
)
def test_modules_outside_the_blocks(
    family: str, targets: list[str], make: Any, example: Any, run: Any, tmp_path
) -> None:
    peer = theirs(make(family), peft.LoraConfig(r=2, target_modules=targets), tmp_path)
    model = make(family)
    adapters = load_peft(model, tmp_path)
    batch = example(model)
    agree(run(model, batch), run(peer, batch), "logits", within=NEAR)
    assert sum(1 for _ in adapters.layers()) == 3 and adapters.heads == ()


def test_modules_that_are_not_there(tmp_path: Path) -> None:
    theirs(plain(), CONFIGS["lora"](target_modules=["0", "2"], modules_to_save=["3"]), tmp_path)
    for model, message in (
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8)), "no module of this Sequential"),
        (
            nn.Sequential(nn.ReLU(), nn.ReLU(), nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 5))),
            "is a torch.nn.modules.activation.ReLU, on which",
        ),
    ):
        with pytest.raises(ModelError, match=message):
            load_peft(model, tmp_path)
        assert all(parameter.requires_grad for parameter in model.parameters())
