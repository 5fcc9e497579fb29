"""Bottlenecks through files of PEFT, both ways: bit for bit the same outputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, CombinedConfig, attach, load_peft, save_peft, sparsify
from sparsebench.models.adapters.by_name import ByNameConfig, attach_by_name
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import noise

peft = pytest.importorskip("peft")
from sparsebench.models.adapters.peft_tuners import PeftBottleneckConfig  # noqa: E402 - they import PEFT

from .peft_tools import logits, read, written  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], Any]
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "houlsby": ("bert", {"placement": "houlsby", "task_type": "SEQ_CLS", "scale": "learned"}),
    "pfeiffer": ("bert", {"placement": "pfeiffer", "norm": "out", "use_bias": False}),
    "parallel": ("llama", {"placement": "parallel", "activation": "relu", "scale": 4.0}),
    "last": ("llama", {"placement": "houlsby", "layers_to_transform": [1], "target_modules": ["mlp", "o_proj"]}),
    "names": ("llama", {"target_modules": ["q_proj"]}),
}


@pytest.mark.parametrize("case", THEIRS)
def test_their_file_and_back(case: str, build: Build, example: Callable, tmp_path: Path) -> None:
    family, options = THEIRS[case]
    pair = read(lambda: build(family), PeftBottleneckConfig(r=3, **options), tmp_path)
    batch = example(pair.ours)
    agree(logits(pair.ours, batch), logits(pair.theirs, batch), "logits")
    assert not torch.equal(logits(pair.ours, batch), logits(build(family), batch))
    assert isinstance(pair.adapters.config, ByNameConfig if case == "names" else BottleneckConfig)
    assert pair.adapters.config.blocks == (1 if case == "last" else "all")
    assert bool(pair.adapters.heads) == (case == "houlsby")
    again = written(pair.adapters, build(family), tmp_path / "again")
    agree(logits(again, batch), logits(pair.theirs, batch), "logits")


@pytest.mark.parametrize("family", ["vit", "timm_vit", "llama"])
def test_ours_is_read_by_peft(family: str, build: Build, example: Callable, run: Callable, tmp_path: Path) -> None:
    model = build(family)
    adapters = attach(model, BottleneckConfig(r=4, placement="parallel", blocks=1))
    noise(adapters.parameters())
    sparsify(adapters, method="magnitude", sparsity=0.5)
    again = written(adapters, build(family), tmp_path)
    agree(run(again, example(model)), run(model, example(model)), "logits")


def test_where_no_anatomy_is_known(tmp_path: Path) -> None:
    def plain() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8)).eval()

    def through(model: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            return model(x)

    model, x = plain(), torch.ones(2, 6)
    adapters = attach_by_name(model, ByNameConfig(modules=("0", "2"), adapter=BottleneckConfig(r=2)))
    noise(adapters.parameters())
    again = written(adapters, plain(), tmp_path)
    agree(through(again, x), through(model, x), "outputs")
    assert not torch.equal(through(model, x), through(plain(), x))
    ours = plain()
    load_peft(ours, tmp_path)
    agree(through(ours, x), through(model, x), "outputs")


def test_what_does_not_fit(build: Build, tmp_path: Path) -> None:
    adapters = attach(build("llama"), BottleneckConfig(r=4, placement="houlsby", train_head=False))
    save_peft(adapters, tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    whole = load_file(file)
    key = next(iter(whole))
    save_file({name: value for name, value in whole.items() if name != key}, file)
    with pytest.raises(ModelError, match="does not fit this LlamaForCausalLM"):
        load_peft(build("llama"), tmp_path)
    part = {name: value for name, value in whole.items() if "layers.0.mlp" not in name}
    save_file(part, file)
    with pytest.raises(ModelError, match="placement='houlsby' needs to know the blocks"):
        load_peft(build("llama"), tmp_path)
    next(iter(adapters.prunable().values())).select(0, torch.tensor([0]))
    with pytest.raises(ModelError, match="has lost units"):
        save_peft(adapters, tmp_path / "out")
    two = CombinedConfig(parts=(BottleneckConfig(r=2), BottleneckConfig(r=3, placement="parallel")))
    with pytest.raises(ModelError, match=r"CombinedConfig: a file holds bottlenecks of one configuration"):
        save_peft(attach(build("bert"), two), tmp_path / "out")
    assert not (tmp_path / "out").exists()
