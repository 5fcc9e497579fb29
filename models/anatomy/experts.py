"""Routed experts as they lie in memory: read and write the weights of one, keep some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from .linear_layers import linear_view
from .narrowing import checked_neurons, stacked, take, take_linear, tell_width
from .removal import check_bare
from .sites import Site, is_wrapper, see_through

_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""What modules and configurations call the number of experts."""

# Shapes: N experts, R rows (tokens) of an expert, D width, F hidden neurons of an expert.


class ExpertWeights(NamedTuple):
    """Weights of one expert in the layout of `nn.Linear`: gate, up (hidden, width), down (width, hidden).

    Biases are None where the experts have none.
    """

    gate: Tensor | None
    up: Tensor
    down: Tensor
    gate_bias: Tensor | None = None
    up_bias: Tensor | None = None
    down_bias: Tensor | None = None


@dataclass(eq=False, kw_only=True)
class Experts:
    """Routed experts of an MLP.

    Attributes:
        num_experts: N.
        top_k: experts that a token chooses.
        tensors: the fused parameters that hold them, first dimension N.
        router: the module that chooses.
        module: what is called with (x, index, weight), all of T tokens: x (T, D), index and weight (T, top_k); None
            where nothing is called so.
        rows: the parameters and buffers with a row or an entry for each expert that choose among them (router,
            correction bias).
        shared: the FFN that every token passes in addition.
        groups: with more than 1 the router first chooses `top_groups` of so many equal groups of neighbouring experts.
        top_groups: groups that it chooses.
        least_in_group: experts that each group must keep.
        holders: modules and configurations with attributes that say how many experts there are; `describe` adds the
            model and its configuration.
        activate: makes what enters the down projection from the outputs (R, F) of gate, or None, and up; None where
            nobody says how.
        table: where the router knows of more experts than there are, a buffer that says which one each of its rows
            stands for, below 0 for none; what stands between router and experts looks into it, and the rows of the
            router stay.
        softmax: False where the weights of the chosen experts come from a sigmoid of each logit.
    """

    num_experts: int
    top_k: int
    tensors: tuple[Site, ...]
    router: Site
    module: Site | None = None
    rows: tuple[Site, ...] = ()
    shared: Site | None = None
    groups: int = 1
    top_groups: int = 1
    least_in_group: int = 1
    holders: tuple[Any, ...] = ()
    activate: Callable[[Tensor | None, Tensor], Tensor] | None = None
    table: Site | None = None
    softmax: bool = True

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        raise NotImplementedError

    def hidden(self, expert: int, x_RD: Tensor) -> Tensor:
        """What enters the down projection of one expert for these tokens, (R, F).

        Args:
            expert: its index.
            x_RD: inputs of the layer.

        Raises:
            ModelError: nobody says what lies between the projections.
        """
        if self.activate is None:
            raise ModelError(
                f"the view of the experts at {self.router.path} does not say what lies between projections"
            )
        own = self.weights(expert)
        gate_RF = None if own.gate is None else F.linear(x_RD, own.gate, own.gate_bias)
        return self.activate(gate_RF, F.linear(x_RD, own.up, own.up_bias))

    def numel(self) -> int:
        """Number of parameters of all experts together."""
        return sum(site.tensor().numel() for site in self.tensors)

    def check_unadapted(self) -> None:
        """Raise a `ModelError` where an adapter around router or experts has parts for each of the experts as they are.

        These would stay behind when experts go, change places or become another.
        """
        sites = [self.router]
        if self.module is not None and (self.table is None or self.table.parent is not self.module.parent):
            sites.append(self.module)
        check_bare(sites)

    def check_weights_unadapted(self) -> None:
        """Raise a `ModelError` where `check_unadapted` does, and where an adapter lies around a matrix of an expert."""
        self.check_unadapted()

    @torch.no_grad()
    def set_weights(self, expert: int, weights: ExpertWeights) -> None:
        """Write the weights of one expert, cast to what the model holds.

        Args:
            expert: its index.
            weights: matrices in the layout of `nn.Linear`.

        Raises:
            ModelError: a shape differs, a gate or bias is there on one side only, or adapters lie around the experts.
                Nothing is written.
        """
        self.check_weights_unadapted()
        views = self.weights(expert)
        for name, view, value in zip(ExpertWeights._fields, views, weights, strict=True):
            if _shape(view) != _shape(value):
                raise ModelError(f"{name} of expert {expert} has shape {_shape(view)}, not {_shape(value)} as given")
        for view, value in zip(views, weights, strict=True):
            if view is not None and value is not None:
                view.copy_(value)

    @torch.no_grad()
    def keep(self, indices: Sequence[int]) -> None:
        """Keep some experts, in the order given, and drop the others with their rows of the router, in place.

        A router that chose more experts than there are left then chooses all. Counts in modules and in the
        configuration follow, so that a stock model saves and loads if all its layers keep equally many. With a `table`
        the router stays as it is, and choices of a dropped expert are choices of none.

        Args:
            indices: of the experts that stay.

        Raises:
            ModelError: indices that repeat or are not there, groups of experts that would become unequal, and adapters
                around the experts. Nothing changes.

        Example: `describe(mixtral).blocks[0].mlp.experts.keep([0, 2, 5])`.
        """
        kept = self._checked(indices)
        if self.table is not None:
            _renumber(self.table.get(), kept, self.num_experts)
            self.keep_tensors(indices)
            return
        self._cut(kept)
        for site in self.rows:
            site.keep_rows(kept)
        self.num_experts = len(kept)
        self.top_k = min(self.top_k, self.top_groups * len(kept) // self.groups)
        for holder in self.holders:
            tell_counts(holder, self.num_experts, self.top_k)

    @torch.no_grad()
    def keep_tensors(self, indices: Sequence[int]) -> None:
        """Keep the weights of some experts, in the order given; the router and the configuration stay as they are.

        Something that finds the experts in a `table` then has to stand between the two.

        Args:
            indices: of the experts that stay.

        Raises:
            ModelError: indices that repeat or are not there, and adapters around the experts. Nothing changes.
        """
        kept = self._different(indices)
        self._cut(kept)
        self.num_experts = len(kept)
        if self.module is not None:
            tell_counts(self.module.get(), self.num_experts, self.top_k)

    @torch.no_grad()
    def keep_neurons(self, kept: Sequence[Tensor]) -> None:
        """Keep some hidden neurons of each expert, in the order given, in place.

        Experts in one parameter keep equally many. The configuration of a stock model goes on saying the old number.

        Args:
            kept: an index tensor for each expert.

        Raises:
            ModelError: neurons that repeat or are not there, experts whose layout nobody can cut, and adapters around
                the experts. Nothing changes.

        Example: `experts.keep_neurons([torch.arange(experts.weights(0).up.shape[0] // 2)] * experts.num_experts)`.
        """
        self.check_weights_unadapted()
        sizes = [self.weights(expert).up.shape[0] for expert in range(self.num_experts)]
        self._narrow(checked_neurons(kept, sizes))
        if self.module is not None:
            tell_width(self.module.get(), max(map(len, kept)))

    def _narrow(self, kept: Sequence[Tensor]) -> None:
        raise ModelError(f"the view of the experts at {self.router.path} does not say where their neurons lie")

    def _cut(self, kept: Tensor) -> None:
        for site in self.tensors:
            site.keep_rows(kept)

    def _checked(self, indices: Sequence[int]) -> Tensor:
        kept = self._different(indices)
        if self.groups > 1 or self.least_in_group > 1:
            self._check_groups(kept.tolist())
        return kept

    def _different(self, indices: Sequence[int]) -> Tensor:
        self.check_unadapted()
        chosen = [int(index) for index in indices]
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= index < self.num_experts for index in chosen):
            raise ModelError(f"keep({chosen}) needs different experts of 0..{self.num_experts - 1}, at least one")
        return torch.tensor(chosen)

    def _check_groups(self, chosen: list[int]) -> None:
        size = self.num_experts // self.groups
        left = len(chosen) // self.groups
        groups = [index // size for index in chosen]
        counts = {groups.count(group) for group in range(self.groups)}
        if counts != {left} or groups != sorted(groups) or left < self.least_in_group:
            raise ModelError(
                f"keep({chosen}): the router at {self.router.path} chooses among {self.groups} groups of {size} "
                f"experts: keep equally many of each, {self.least_in_group} or more, group by group"
            )


@dataclass(eq=False, kw_only=True)
class StackedExperts(Experts):
    """Experts of transformers 5: gate_up (N, 2F, D), gate rows first, and down (N, D, F).

    Without a gate (`gated` False) gate_up is (N, F, D), the up projection alone.
    """

    gate_up: Site
    down: Site
    gated: bool = True

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        gate_up = self.gate_up.tensor()[expert]
        down = self.down.tensor()[expert]
        if not self.gated:
            return ExpertWeights(None, gate_up, down)
        gate, up = gate_up.chunk(2, dim=0)
        return ExpertWeights(gate, up, down)

    def _narrow(self, kept: Sequence[Tensor]) -> None:
        kept_NK = stacked(kept)
        rows_N = kept_NK
        if self.gated:
            rows_N = torch.cat((kept_NK, kept_NK + self.down.tensor().shape[2]), dim=1)
        take(self.gate_up, rows_N, 1)
        take(self.down, kept_NK, 2)


@dataclass(eq=False, kw_only=True)
class InterleavedExperts(Experts):
    """Experts of GPT-OSS: gate_up (N, D, 2F), columns gate, up, gate, up, ...; down (N, F, D); and their biases."""

    gate_up: Site
    gate_up_bias: Site
    down: Site
    down_bias: Site

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        gate_up = self.gate_up.tensor()[expert]
        bias = self.gate_up_bias.tensor()[expert]
        return ExpertWeights(
            gate=gate_up[:, ::2].t(),
            up=gate_up[:, 1::2].t(),
            down=self.down.tensor()[expert].t(),
            gate_bias=bias[::2],
            up_bias=bias[1::2],
            down_bias=self.down_bias.tensor()[expert],
        )

    def _narrow(self, kept: Sequence[Tensor]) -> None:
        kept_NK = stacked(kept)
        columns_N = torch.stack((2 * kept_NK, 2 * kept_NK + 1), dim=-1).flatten(1)
        take(self.gate_up, columns_N, 2)
        take(self.gate_up_bias, columns_N, 1)
        take(self.down, kept_NK, 1)


@dataclass(eq=False, kw_only=True)
class ListedExperts(Experts):
    """Experts that are modules of their own in an `nn.ModuleList` or `nn.ModuleDict`, `container`.

    `names` are the names of the gate (or None), up and down linears inside each.
    """

    container: Site
    names: tuple[str | None, str, str]

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        module = self._members()[expert]
        gate, up, down = (None if name is None else linear_view(see_through(module, name).get()) for name in self.names)
        assert up is not None and down is not None
        return ExpertWeights(
            gate=None if gate is None else gate.weight,
            up=up.weight,
            down=down.weight,
            gate_bias=None if gate is None else gate.bias,
            up_bias=up.bias,
            down_bias=down.bias,
        )

    def numel(self) -> int:
        """Number of parameters of all experts together."""
        return sum(parameter.numel() for parameter in self.container.get().parameters())

    def check_weights_unadapted(self) -> None:
        """As of all experts; adapters around matrices go with their expert, but say nothing of another one."""
        super().check_weights_unadapted()
        for number, member in enumerate(self._members()):
            path = f"{self.container.path}.{number}"
            check_bare([see_through(member, name, path) for name in self.names if name is not None])

    def _narrow(self, kept: Sequence[Tensor]) -> None:
        gate, up, down = self.names
        for member, neurons in zip(self._members(), kept, strict=True):
            if gate is not None:
                take_linear(member, gate, neurons, rows=True)
            take_linear(member, up, neurons, rows=True)
            take_linear(member, down, neurons, rows=False)

    def _members(self) -> list[nn.Module]:
        return list(self.container.get().children())

    def _cut(self, kept: Tensor) -> None:
        # In place, so that a container with a forward of its own stays what it is.
        container = self.container.get()
        names = list(container._modules)
        members = self._members()
        container._modules.clear()
        for name, index in zip(names, kept.tolist(), strict=False):
            container._modules[name] = members[index]


def table_at(parent: nn.Module, name: str) -> Site | None:
    """The `table` of what stands around the experts, which maps choices of the router to experts.

    Args:
        parent: the module that holds the experts.
        name: their name there.

    Returns:
        Its site; None where the experts get what the router chose.
    """
    module: Any = getattr(parent, name)
    while is_wrapper(module):
        if isinstance(getattr(module, "table", None), Tensor):
            return Site(module, "table")
        module = module.base_layer
    return None


def _renumber(table: Tensor, kept: Tensor, experts: int) -> None:
    """Let the entries of a table follow when only these of so many experts stay; those of the others become none."""
    places = torch.full((experts,), -1, dtype=table.dtype, device=table.device)
    places[kept.to(table.device)] = torch.arange(len(kept), dtype=table.dtype, device=table.device)
    table.copy_(torch.where(table >= 0, places[table.clamp_min(0)], table))


def tell_counts(holder: object, num_experts: int, top_k: int) -> None:
    """Write both numbers to the attributes of a module or configuration that hold them.

    Args:
        holder: a module, or a configuration, whose `top_k` is that of sampling and stays.
        num_experts: experts of the mixture.
        top_k: experts that a token chooses.
    """
    # `top_k` of a configuration is that of sampling.
    chosen = ("top_k", "num_experts_per_tok") if isinstance(holder, nn.Module) else ("num_experts_per_tok",)
    for names, value in ((_COUNTS, num_experts), (chosen, top_k)):
        for name in names:
            if isinstance(getattr(holder, name, None), int):
                setattr(holder, name, value)


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)
