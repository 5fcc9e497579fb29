"""What a recipe would take, reckoned from shapes on the meta device: no weight is read, nothing runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.presets import preset

from .recipe import Recipe

BYTES = {"adamw_torch": 8, "adamw_torch_fused": 8, "adafactor": 0}
"""Bytes of optimizer state for each parameter that trains: two float32 numbers of AdamW; Adafactor keeps rows and
columns alone.
"""
WIDE = 4
"""Bytes of a float32 number: weights that train and their gradients."""
HALF = 2
"""Bytes of a bfloat16 number: frozen weights, and what is computed with."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one GPU. Weights, gradients and optimizer state are exact; the others are what is certain to lie there
    at once, and leave out what a kernel takes for a moment.

    `gathered`: the weights that it computes with, in bfloat16: of two blocks at a time where they are sharded, of all
    that trains where not (autocast keeps its copies). `activations`: the inputs of all blocks, of which the rest is
    recomputed, and what one block keeps. `logits`: in bfloat16 and float32, their log-softmax, both gradients.
    """

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.gathered + self.activations + self.logits


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe with one of its presets. Counts are numbers of parameters; `flops` is what a step takes in all GPUs."""

    recipe: Recipe
    preset: str
    total: int
    active: int
    trained: int
    memory: Memory
    flops: float

    def lines(self) -> list[str]:
        """In words, one thing a line."""
        recipe = self.recipe
        memory = self.memory
        parts = [f"{name} {value / 1e9:.1f}" for name, value in asdict(memory).items()]
        found = [
            f"{recipe.caption}: {self.preset}",
            f"{self.total / 1e9:.2f} billion parameters, {self.active / 1e9:.2f} billion work on a token, "
            f"{self.trained / 1e9:.2f} billion train",
            f"memory of a GPU: {memory.total / 1e9:.1f} of {recipe.gigabytes:g} GB ({', '.join(parts)})",
        ]
        for stage in recipe.stages:
            tokens = recipe.step_tokens(stage)
            found.append(
                f"{stage.name}: {recipe.steps(stage):,} steps of {tokens / 1e6:.2f} M tokens ({recipe.gpus} GPUs × "
                f"{recipe.accumulation(stage)} × {recipe.micro_batch} rows of {recipe.length:,}), "
                f"{6 * self.active * stage.tokens:.1e} floating-point operations"
            )
        found.append("reckoned from shapes; not run here")
        return found


def plan(recipe: Recipe, name: str | None = None) -> Plan:
    """The plan for a preset of the recipe, by default its first. Raises ValueError for another one."""
    chosen = name or recipe.presets[0]
    if chosen not in recipe.presets:
        raise ValueError(f"{chosen!r} is no preset of this recipe: {', '.join(recipe.presets)}")
    model = on_meta(recipe, chosen)
    trains = trained(model, recipe)
    counts = count_parameters(model)
    tokens = recipe.step_tokens(recipe.stages[0])
    return Plan(
        recipe=recipe,
        preset=chosen,
        total=counts.total,
        active=counts.active,
        trained=sum(parameter.numel() for parameter in trains),
        memory=memory(model, recipe, trains),
        flops=6.0 * counts.active * tokens,
    )


def on_meta(recipe: Recipe, name: str) -> Any:
    """The converted model without memory for its weights.

    Which neurons an expert gets and where its router starts changes no shape, so both are what needs no data.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = preset(name, split="sequential", router_init="random", clusters="documents", importance="activation")
    shape: dict[str, Any] = dict(recipe.shape)
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**shape))
    return convert(model, config)


def trained(model: nn.Module, recipe: Recipe) -> list[nn.Parameter]:
    """The parameters that a recipe trains."""
    if recipe.train == "all":
        return list(model.parameters())
    found: list[nn.Parameter] = []
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            found += block.mlp.site.get().parameters()
    return found


def memory(model: Any, recipe: Recipe, trains: list[nn.Parameter]) -> Memory:
    """What lies in the memory of one GPU."""
    training = {id(parameter) for parameter in trains}
    weights = 0
    for parameter in model.parameters():
        weights += local_numel(parameter, recipe.gpus) * (WIDE if id(parameter) in training else HALF)
    mine = sum(local_numel(parameter, recipe.gpus) for parameter in trains)
    state = mine * BYTES[recipe.optimizer]
    if recipe.optimizer == "adafactor":
        state = sum(WIDE * _rows_and_columns(parameter) for parameter in trains)
    gathered = sum(parameter.numel() for parameter in trains) * HALF
    if recipe.gpus > 1:
        gathered = 2 * max(_numel(block.site.get()) for block in describe(model).blocks) * HALF
    tokens = recipe.micro_batch * recipe.length
    kept = tokens * recipe.shape["hidden_size"] * recipe.shape["num_hidden_layers"]
    return Memory(
        weights=weights,
        gradients=mine * WIDE,
        optimizer=state,
        gathered=gathered,
        activations=HALF * (kept + tokens * _widths_of_a_block(model, recipe)),
        logits=tokens * recipe.shape["vocab_size"] * (2 * HALF + 3 * WIDE),
    )


def local_numel(parameter: nn.Parameter, ranks: int) -> int:
    """Numbers of a parameter that one of so many processes holds under FSDP2, which cuts the first dimension."""
    rows = len(parameter)
    return -(-rows // ranks) * (parameter.numel() // rows)


def _rows_and_columns(parameter: nn.Parameter) -> int:
    """Numbers of Adafactor's state: means over rows and over columns of each matrix."""
    if parameter.ndim < 2:
        return parameter.numel()
    return parameter.numel() // parameter.shape[-1] + parameter.numel() // parameter.shape[-2]


def _widths_of_a_block(model: Any, recipe: Recipe) -> int:
    """Numbers that one block keeps of a token while its backward pass runs.

    Of the attention: its input, queries, keys, values and output, each as wide as the model at most; two norms and two
    sums; of each expert that works: gate, up and their product.
    """
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    shared = recipe.shape["intermediate_size"] - mlp.experts.num_experts * mlp.hidden
    return 9 * recipe.shape["hidden_size"] + 3 * (mlp.experts.top_k * mlp.hidden + max(shared, 0))


def _numel(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
