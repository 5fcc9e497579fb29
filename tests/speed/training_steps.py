"""SmolLM2 in every form whose training is timed, and whole steps as the suites take them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from sparsebench.data.weights import smollm2
from sparsebench.models.anatomy import describe
from sparsebench.models.moe import MoEConfig, convert, export, preset
from sparsebench.models.moe.experts.interface import register_experts
from sparsebench.suites.llm.methods.continual_pretraining import ContinualPretraining
from sparsebench.suites.llm.training.data import TextRows
from sparsebench.suites.llm.training.isolation import language_loss
from sparsebench.suites.llm.training.packing import Example, Row, pack
from sparsebench.suites.methods.compression.neuron_pruning import NeuronPruning
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.processes import Processes
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.step import Stepper

LENGTH = 512
EXPERTS, TOP_K = 16, 4
BALANCE = 1e-2
# So small that no weight moves: a model keeps the routes of its conversion, however often its step is timed.
METHOD = ContinualPretraining(learning_rate=1e-12)


class NoFFN(nn.Module):
    """The place of an FFN, with nothing in it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def dense() -> nn.Module:
    return AutoModelForCausalLM.from_pretrained(smollm2(), dtype=torch.float32)


def no_ffn() -> nn.Module:
    model = dense()
    for block in describe(model).blocks:
        assert block.mlp is not None
        block.mlp.site.replace(NoFFN())
    return model


def active_size() -> nn.Module:
    """A dense model with as many FFN neurons as work on a token of the mixtures."""
    method = NeuronPruning(keep=TOP_K / EXPERTS, which="random", train="none")
    seeded: Any = SimpleNamespace(generator=lambda axis: torch.Generator().manual_seed(0))
    return method.transform(dense(), seeded)


def linear() -> nn.Module:
    """The mixture that Mixtral can express."""
    return convert(dense(), MoEConfig(num_experts=EXPERTS, top_k=TOP_K, balance="switch", balance_coef=BALANCE))


def llama_moe_v1() -> nn.Module:
    return convert(dense(), preset("llama_moe_v1_4of16"))


def mixtral(folder: Path) -> nn.Module:
    """`linear` as a stock model of transformers, from its files."""
    assert export(linear(), folder / "mixtral") == "MixtralForCausalLM"
    register_experts()
    model = AutoModelForCausalLM.from_pretrained(folder / "mixtral", dtype=torch.float32)
    model.router_aux_loss_coef = BALANCE
    return model


def method_loss(model: nn.Module, batch: Any) -> Tensor:
    """What the method trains on: the loss of the text and the balance loss of the routers."""
    context: Any = SimpleNamespace(loss=language_loss)
    return METHOD.loss(model, batch, context)


def stepper(model: nn.Module, precision: Any) -> Stepper:
    """Steps of the suites' loop: loss, backward, clipping, AdamW."""
    group = Group.adamw(
        "model", model, learning_rate=METHOD.learning_rate, weight_decay=METHOD.weight_decay, betas=METHOD.betas
    )
    settings = TrainSettings(steps=1, precision=precision, **METHOD.recipe())
    processes = Processes(torch.device("cpu"))
    return Stepper(model, {"model": model}, [group], [group.build()], method_loss, settings, processes)


def step(taker: Stepper, batch: Any) -> Callable[[], float]:
    """A step on the batch; gives its loss."""
    return lambda: taker.step([batch], [1.0], 1.0, 0)[""]


def rows(count: int, packed: bool) -> TextRows:
    """Random tokens: whole windows, or rows of examples of 20 to 200 tokens, half of which are learnt."""
    draw = torch.Generator().manual_seed(0)
    made = []
    for number in range(count * (5 if packed else 1)):
        size = int(torch.randint(20, 200, (), generator=draw)) if packed else LENGTH
        ids = tuple(torch.randint(100, 40_000, (size,), generator=draw).tolist())
        labels = ids
        if packed:
            labels = (-100,) * (size // 2) + ids[size // 2 :]
        made.append(Example(f"example {number}", "all", ids, labels))
    train = pack(made, LENGTH) if packed else [Row("all", (example,)) for example in made]
    return TextRows(train[:count], (), LENGTH, packed, torch.device("cpu"))
