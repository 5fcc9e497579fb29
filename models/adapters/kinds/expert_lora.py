"""LoRA on the fused parameters of routed experts: W_e + s B_e A_e for every expert e at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...anatomy import (
    Experts,
    InterleavedExperts,
    ListedExperts,
    Site,
    Wrapper,
    see_through,
)
from ...errors import ModelError
from ...sparsity.masked import MaskedLinear
from ..initialisation import Init, adapter_dtype, initialise
from ..layer import AdapterLayer

# Shapes: N experts, I inputs, O outputs, R rank.


@runtime_checkable
class FillsUp(Protocol):
    """Experts of unequal size that zeros fill up to one size (ours)."""

    def real_entries(self, name: str) -> Tensor | None:
        """Which entries of a matrix are no such zeros; None where all are."""
        ...


class Update(NamedTuple):
    """Rank and factor s of the update of one parameter."""

    r: int
    scaling: float


class ExpertLoRALayer(AdapterLayer):
    """A module of experts each of whose fused matrices W (N, O, I), or (N, I, O) where `transposed`, has an update.

    Its factors lie as PEFT has them for `target_parameters`: `lora_A[name]` (N R, I), the rows of an expert next to
    each other; `lora_B[name]` (O, R N), the columns of a rank next to each other. Every forward pass makes the updated
    matrices, whatever then computes the experts. `experts` is N; with `shared` all of them work on every token. A rank
    may exceed that of a small expert.
    """

    linear = True
    additive = True

    def __init__(
        self,
        base_layer: nn.Module,
        updates: Mapping[str, Update],
        *,
        transposed: bool,
        experts: int,
        shared: bool = False,
        init: Init,
        generator: torch.Generator,
    ) -> None:
        super().__init__(base_layer)
        self.transposed = transposed
        self.experts = experts
        self.shared = shared
        self.scaling = {name: update.scaling for name, update in updates.items()}
        self.lora_A = nn.ModuleDict()
        self.lora_B = nn.ModuleDict()
        for name, update in updates.items():
            weight = getattr(self.get_base_layer(), name)
            _, outputs, inputs = weight.shape
            if transposed:
                inputs, outputs = outputs, inputs
            like = {"device": weight.device, "dtype": adapter_dtype(weight)}
            lora_A = MaskedLinear(inputs, update.r * experts, bias=False, **like)
            lora_B = MaskedLinear(update.r * experts, outputs, bias=False, **like)
            initialise(lora_A, lora_B, init, generator)
            self.lora_A[name] = lora_A
            self.lora_B[name] = lora_B

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """What the experts give with the updated matrices."""
        inner = self.base_layer
        prefix = ""
        while isinstance(inner, Wrapper):
            prefix += "base_layer."
            inner = inner.base_layer
        updated: dict[str, Tensor] = {}
        for name, update in self.updates():
            weight = getattr(inner, name)
            updated[prefix + name] = weight + update.to(weight.dtype)
        return functional_call(self.base_layer, updated, args, keywords)

    def updates(self) -> Iterator[tuple[str, Tensor]]:
        """s B_e A_e of every adapted parameter, in its shape."""
        for name, scaling in self.scaling.items():
            lora_A, lora_B = self.factors(name)
            a_NRI = lora_A.unflatten(0, (self.experts, -1))
            b_ORN = lora_B.unflatten(1, (-1, self.experts))
            update_NOI = scaling * torch.bmm(b_ORN.permute(2, 0, 1), a_NRI)
            if self.transposed:
                update_NOI = update_NOI.transpose(1, 2)
            yield name, self._on_neurons(name, update_NOI)

    def _on_neurons(self, name: str, update_NOI: Tensor) -> Tensor:
        """Without what would go into the zeros that fill smaller experts up."""
        base_layer = self.get_base_layer()
        if not isinstance(base_layer, FillsUp):
            return update_NOI
        real = base_layer.real_entries(name)
        return update_NOI if real is None else update_NOI * real

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """A (N R, I) and B (O, R N) of one parameter."""
        lora_A: Any = self.lora_A[name]
        lora_B: Any = self.lora_B[name]
        return lora_A.effective(), lora_B.effective()

    def idle_parameters(self, top_k: int) -> int:
        """Parameters of the adapter that do not work on one token, which chooses `top_k` experts, on average."""
        if self.shared:
            return 0
        numel = sum(parameter.numel() for _, parameter in self.adapter_parameters())
        return numel - numel * top_k // self.experts

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """W_e <- W_e + s B_e A_e, in the precision of the adapter."""
        for name, update in self.updates():
            weight = getattr(base_layer, name)
            weight.copy_(weight.to(update.dtype) + update)


class Stack(NamedTuple):
    """A module with fused matrices of experts: its place, their names, how they lie, and how many experts."""

    site: Site
    names: tuple[str, ...]
    transposed: bool
    experts: int
    shared: bool = False


def stacks(experts: Experts) -> Iterator[Stack]:
    """The fused matrices of routed experts, and of a shared block that is fused too (ours)."""
    names = tuple(site.name for site in experts.tensors if site.tensor().ndim == 3)
    if names and experts.module is not None:
        yield Stack(experts.module, names, isinstance(experts, InterleavedExperts), experts.num_experts)
    if experts.shared is not None:
        shared = experts.shared.get()
        fused = {name: tensor for name, tensor in shared.named_parameters(recurse=False) if tensor.ndim == 3}
        if fused:
            count = len(next(iter(fused.values())))
            yield Stack(experts.shared, tuple(fused), False, count, shared=True)


def expert_linears(experts: Experts, targets: Sequence[str] = ("experts",)) -> Iterator[Site]:
    """Those linear layers of experts, modules of their own in a list, that `targets` mean; "experts" is all."""
    if not isinstance(experts, ListedExperts):
        return
    container = experts.container
    everything = bool({"linears", "experts"} & set(targets))
    for number, _ in container.get().named_children():
        member = see_through(container.get(), number, container.path)
        for part, name in zip(("gate", "up", "down"), experts.names, strict=True):
            if name is not None and (everything or part in targets):
                yield see_through(member.get(), name, member.path)


def chosen_names(stack: Stack, targets: Sequence[str]) -> tuple[str, ...]:
    """Which of the fused matrices `targets` mean. Raises `ModelError` for one half of a fused gate and up."""
    if "linears" in targets:
        return stack.names
    if stack.shared:
        return ()
    if "experts" in targets:
        return stack.names
    chosen: list[str] = []
    for name in stack.names:
        parts = [part for part in ("gate", "up", "down") if part in name.split("_")]
        wanted = [part for part in parts if part in targets]
        if wanted and wanted != parts:
            raise ModelError(
                f"{stack.site.path} holds {name} as one fused matrix: name {' and '.join(parts)} in targets, or leave "
                "its experts out with experts=False"
            )
        if wanted:
            chosen.append(name)
    return tuple(chosen)


def expert_layer(
    stack: Stack, updates: Mapping[str, Update], init: Init, generator: torch.Generator
) -> tuple[Site, AdapterLayer]:
    """Where a layer goes, and the layer."""
    site = stack.site
    layer = ExpertLoRALayer(
        site.get(),
        updates,
        transposed=stack.transposed,
        experts=stack.experts,
        shared=stack.shared,
        init=init,
        generator=generator,
    )
    return site, layer
