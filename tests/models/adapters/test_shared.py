"""Modules that several layers hold are stored once: in files, through Trainer with resume, pruned or not."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.prefix import PrefixConfig
from sparsebench.models.adapters.presets import preset
from sparsebench.models.adapters.pruning.sparsify import sparsify

Make = Callable[[str], nn.Module]
KINDS: dict[str, AdapterConfig] = {
    "mam": preset("mam"),
    "fact": FacTConfig(r=4, init="normal"),
    "rep_adapter": preset("rep_adapter"),
    "prefix": PrefixConfig(length=3, bottleneck=6),
}


def adapted(make: Make, family: str, kind: str, seed: int = 0, pruned: bool = False) -> nn.Module:
    model = make(family)
    adapters = attach(model, KINDS[kind])
    generator = torch.Generator().manual_seed(seed)
    for parameter in adapters.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    if pruned:
        sparsify(adapters, method="random", sparsity=0.5, generator=generator)
    return model


CASES = [(kind, False) for kind in KINDS] + [(kind, True) for kind in KINDS if kind != "prefix"]


@pytest.mark.parametrize(("kind", "pruned"), CASES)
def test_a_file_of_tensors_and_back(
    kind: str, pruned: bool, make: Make, example: Any, run: Any, tmp_path: Path
) -> None:
    """A prefix has nothing to prune; FacT wants an FFN that is a multiple of the width."""
    for family in ("wide_bert",) if kind == "fact" else ("bert", "timm_vit"):
        model = adapted(make, family, kind, pruned=pruned)
        state = model.state_dict()
        save_file(state, tmp_path / "a.safetensors")  # refuses tensors that share memory
        other = adapted(make, family, kind, seed=1)
        batch = example(model)
        assert not torch.equal(run(other, batch), run(model, batch))
        other.load_state_dict(load_file(tmp_path / "a.safetensors"))
        assert torch.equal(run(other, batch), run(model, batch))


def test_a_missing_shared_module_is_reported_and_all_names_load(make: Make, example: Any, run: Any) -> None:
    model = adapted(make, "bert", "prefix")
    state = model.state_dict()
    trunk = {name: value for name, value in state.items() if ".trunk." in name}
    assert len(trunk) == 3  # of two layers that hold it
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"Missing key.*trunk\.embedding"):
            adapted(make, "bert", "prefix").load_state_dict({n: v for n, v in state.items() if n not in trunk})
    older = dict(state)
    for name, value in trunk.items():
        older[name.replace("layer.0", "layer.1")] = value  # as before modules that are shared were stored once
    other = adapted(make, "bert", "prefix", seed=1)
    other.load_state_dict(older)
    batch = example(model)
    assert torch.equal(run(other, batch), run(model, batch))


def test_a_part_of_a_model_has_its_own_state(make: Make) -> None:
    model: Any = adapted(make, "bert", "prefix")
    whole = list(model.state_dict())
    for layer in (1, 0, 1):
        names = list(model.bert.encoder.layer[layer].state_dict())
        assert sum(".trunk." in name for name in names) == 3
    assert list(model.state_dict()) == whole == list(copy.deepcopy(model).state_dict())


class Stop(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if state.global_step == 2:
            control.should_training_stop = True


def trained(model: Any, folder: Path, resume: bool = False, stop: bool = False) -> dict[str, Tensor]:
    rows = [{"input_ids": torch.arange(n, n + 6), "labels": torch.tensor(n % 2)} for n in range(3, 19)]
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        max_steps=4,
        save_steps=2,
        learning_rate=0.01,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[Stop()] if stop else [])  # pyright: ignore
    trainer.train(resume_from_checkpoint=resume)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(("family", "kind"), [("bert", "mam"), ("wide_bert", "fact")])
def test_trainer_goes_on_bit_for_bit(family: str, kind: str, make: Make, tmp_path: Path) -> None:
    whole = trained(adapted(make, family, kind), tmp_path / "whole")
    trained(adapted(make, family, kind), tmp_path / "halves", stop=True)
    halves = trained(adapted(make, family, kind, seed=1), tmp_path / "halves", resume=True)
    assert whole.keys() == halves.keys()
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    first = load_file(tmp_path / "whole" / "checkpoint-2" / "model.safetensors")
    assert any(not torch.equal(value, first[name]) for name, value in whole.items())  # it does train
