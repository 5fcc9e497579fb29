"""Plain LoRA of Hugging Face PEFT, also by names of modules: without an anatomy, outside blocks, on any convolution."""

from __future__ import annotations

from torch import Tensor, nn

from ...anatomy import Anatomy, UnknownAnatomy, describe
from ..kinds.by_name import ByNameConfig
from ..kinds.expert_lora import ExpertLoRALayer
from ..kinds.lora import LoRAConfig, LoRALayer
from ..wrapping import path_without_wrappers
from .peft_experts import split_fused
from .peft_folder import ByModule, Method, PeftFile, Read
from .peft_lora import FACTORS, FIELDS, by_rank, read_in_blocks, written_lora


def _read(model: nn.Module, file: PeftFile) -> Read:
    """By names where no describer knows the model or what is adapted."""
    factors, rest = file.by_module(FACTORS)
    try:
        anatomy = describe(model)
    except UnknownAnatomy:
        return _by_name(model, file, factors, rest)
    fused, others = split_fused(anatomy, factors)
    if not fused and _outside(anatomy, others):
        return _by_name(model, file, factors, rest)
    file.heads(model, rest)
    return read_in_blocks(file, fused, others, rest)


def _outside(anatomy: Anatomy, factors: ByModule) -> bool:
    """Whether a module that is adapted is in no block, or is a convolution with a kernel; a head is refused later."""
    heads = {path_without_wrappers(anatomy.model, site.path) for site in anatomy.heads}
    if heads & factors.keys():
        return False
    blocks = tuple(f"{path_without_wrappers(anatomy.model, block.site.path)}." for block in anatomy.blocks)
    for path, factor in factors.items():
        kernel = factor["A"].shape[2:]
        if not path.startswith(blocks) or kernel not in ((), (1, 1)):
            return True
    return False


def _by_name(model: nn.Module, file: PeftFile, factors: ByModule, rest: dict[str, Tensor]) -> Read:
    state = dict(rest)
    for path, factor in factors.items():
        state[f"{path}.lora_A.0.weight"] = factor["A"]
        state[f"{path}.lora_B.0.weight"] = factor["B"]
    options = file.heads(model, rest)
    dropout = file.config.get("lora_dropout") or 0.0

    def part(modules: tuple[str, ...], r: int, alpha: float) -> ByNameConfig:
        return ByNameConfig(modules=modules, adapter=LoRAConfig(r=r, alpha=alpha, dropout=dropout), **options)

    return Read(by_rank(file, factors, part), state)


LORA = Method("LoRA", (LoRALayer, ExpertLoRALayer), FIELDS, _read, written_lora)
