"""Tasks without downloads, set up on small backbones with a small budget; and what a training moves."""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Setup
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.llm.backbones import tiny as tiny_lm
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.llm.tasks.synthetic.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.vtab.backbones import tiny as tiny_vit
from sparsebench.suites.vtab.tasks.synthetic import Blobs

BUDGET = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=16)


def surroundings(suite: str, **fields: Any) -> Context:
    return Context(**{"suite": suite, "task": "synthetic", "seed": 0, "budget": BUDGET, **fields})


def text(load: Any = tiny_lm.load, **fields: Any) -> Setup:
    return SyntheticText().setup(load, surroundings("llm", **fields))


def choices(load: Any = tiny_lm.load, **fields: Any) -> Setup:
    return SyntheticChoices().setup(load, surroundings("llm", **{"task": "synthetic_choices", **fields}))


def images(load: Any = tiny_vit.load, chain: Sequence[Method] = (), **fields: Any) -> Setup:
    return Blobs().setup(load, surroundings("vtab", **fields), chain)


def eight_experts(suite: str, seed: int = 0) -> tuple[Any, Context, Any]:
    """Blocks of eight experts each, four of them chosen; the context and the data."""
    found = {"llm": text, "vtab": images}[suite](seed=seed)
    split = RandomSplit(num_experts=8, top_k=4, score="topk_softmax", train="none")
    return split.prepare(found.model, found.context), found.context, found.data


def python_code(tokenizer: Any, *modules: Any) -> torch.Tensor:
    """The sources of modules of Python, as rows of 256 bytes."""
    rows = [torch.tensor(tokenizer(inspect.getsource(module))["input_ids"][:1024]).view(4, 256) for module in modules]
    return torch.cat(rows)


def moved(method: Method, setup: Setup) -> set[str]:
    """Names of the tensors that training changed."""
    model = method.prepare(setup.model, setup.context)
    return moved_by_fit(method, model, setup)


def moved_by_fit(method: Method, model: nn.Module, setup: Setup) -> set[str]:
    """Names of the tensors that training changed in a model that is prepared already."""
    before = copy.deepcopy(model.state_dict())
    method.fit(model, setup.data, setup.context)
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
