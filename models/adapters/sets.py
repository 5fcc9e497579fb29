"""The adapters of a model as one thing: train, count, save, switch off, merge, remove."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..anatomy import Site, Wrapper
from ..errors import ModelError
from .config import AdapterConfig
from .layer import AdapterLayer, FrozenNorm
from .masked import Masked

_ATTRIBUTE = "_sparsebench_adapters"
PRUNED = ("mask", "values", "index")


def adapter_sets(model: nn.Module) -> dict[str, AdapterSet]:
    """The sets that a model carries, by name, oldest first. They are copied and pickled with the model."""
    if not hasattr(model, _ATTRIBUTE):
        setattr(model, _ATTRIBUTE, {})
    return getattr(model, _ATTRIBUTE)


@dataclass(eq=False)
class AdapterSet:
    """One set of adapters in a model; `attach` makes it."""

    model: nn.Module
    config: AdapterConfig
    name: str
    was_trainable: list[nn.Parameter]
    head: Site | None
    merged: list[tuple[nn.Module, str, AdapterLayer]] = field(default_factory=list)

    def layers(self) -> Iterator[tuple[str, AdapterLayer]]:
        """Adapter layers by the name of their place in the bare model, in order."""
        for module in self.model.modules():
            if isinstance(module, AdapterLayer) and module.owner == self.name:
                yield module.place, module

    def modules(self) -> dict[str, nn.Module]:
        """The added modules by name; one that several layers share comes under its first name. No head."""
        found: dict[int, tuple[str, nn.Module]] = {}
        for place, layer in self.layers():
            for child, module in layer.own():
                found.setdefault(id(module), (f"{place}.{child}", module))
        return dict(found.values())

    def parameters(self) -> list[nn.Parameter]:
        """Everything that is trained: the adapters' parameters, then the head's."""
        head = [] if self.head is None else list(self.head.get().parameters())
        return list(dict.fromkeys([*self._own_parameters(), *head]))

    def requires_grad_(self, flag: bool) -> AdapterSet:
        """Freeze or open the parameters of this set, without the head."""
        for parameter in self._own_parameters():
            parameter.requires_grad_(flag)
        return self

    def prunable(self) -> dict[str, Masked]:
        """The layers whose weight can be pruned, by name."""
        return {
            f"{name}.{inner}" if inner else name: layer
            for name, module in self.modules().items()
            for inner, layer in module.named_modules()
            if isinstance(layer, Masked)
        }

    def weights(self) -> dict[str, nn.Parameter]:
        """The prunable weights (not biases) by name."""
        return {f"{name}.weight": layer.weight for name, layer in self.prunable().items()}

    def count(self, *, head: bool = False) -> int:
        """Number of parameters that are trained, without pruned entries; with those of the head if asked for."""
        parameters = self.parameters() if head else self._own_parameters()
        removed = sum(layer.masked_out() for layer in self.prunable().values())
        return sum(parameter.numel() for parameter in parameters) - removed

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors of the adapters by name in the bare model, and the head's under its own name."""
        named: dict[int, tuple[str, Tensor]] = {}
        for place, layer in self.layers():
            for key, value in layer.own_state().items():
                named.setdefault(id(value), (f"{place}.{key}", value))
        return {key: value.detach() for key, value in named.values()} | self._head_state()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state_dict` gave, pruned entries included. Raises `ModelError` when the names do not match."""
        expected, given = _plain(self.state_dict()), _plain(state)
        if expected != given:
            missing, unexpected = sorted(expected - given), sorted(given - expected)
            raise ModelError(f"these are not the adapters of this model: missing {missing}, unexpected {unexpected}")
        for place, layer in self.layers():
            layer.load_state_dict(_below(place, state), strict=False)
        if self.head is not None:
            self.head.get().load_state_dict(_below(bare_path(self.model, self.head.path), state))

    def enable(self) -> None:
        """Let the adapters act (they do after `attach`)."""
        for _, layer in self.layers():
            layer.enabled = True

    def disable(self) -> None:
        """Give the model the outputs it has without this set; the trained head stays."""
        for _, layer in self.layers():
            layer.enabled = False

    def merge(self) -> nn.Module:
        """Fold the adapters into the weights of the model, take them off, and return the model.

        Exact for kinds that are linear in their input, refused with a `ModelError` for others. The head keeps what it
        learned, and the parameters get back the `requires_grad` they had. `unmerge` undoes it.
        """
        layers = [layer for _, layer in self.layers()]
        for layer in layers:
            layer.check_mergeable()
        for layer in layers:
            layer.merge()
        self.merged = self._detach()
        return self.model

    def unmerge(self) -> nn.Module:
        """Put merged adapters back; the weights are again, bit for bit, those from before `merge`."""
        sets = adapter_sets(self.model)
        if not self.merged or self.name in sets:
            raise ModelError(f"adapters {self.name!r} are not merged: unmerge() undoes merge()")
        if any(getattr(parent, name) is not layer.base for parent, name, layer in self.merged):
            raise ModelError(
                f"the model has changed since adapters {self.name!r} were merged: unmerge the newest first"
            )
        if not sets:
            self.model.requires_grad_(False)
        for parent, name, layer in reversed(self.merged):
            layer.unmerge()
            setattr(parent, name, layer)
        if self.head is not None:
            self.head.get().requires_grad_(True)
        self.merged = []
        sets[self.name] = self
        return self.model

    def remove(self) -> nn.Module:
        """Take the adapters off and return the model; the head keeps what it learned."""
        self._detach()
        return self.model

    def _own_parameters(self) -> list[nn.Parameter]:
        return list(dict.fromkeys(value for _, layer in self.layers() for _, value in layer.own_parameters()))

    def _head_state(self) -> dict[str, Tensor]:
        if self.head is None:
            return {}
        path = bare_path(self.model, self.head.path)
        return {f"{path}.{key}": value for key, value in self.head.get().state_dict().items()}

    def _detach(self) -> list[tuple[nn.Module, str, AdapterLayer]]:
        """Unwrap this set's layers; with the last set the model is as it was, but for the head."""
        gone = _unwrap(self.model, lambda module: isinstance(module, AdapterLayer) and module.owner == self.name)
        sets = adapter_sets(self.model)
        sets.pop(self.name, None)
        if not sets:
            for parent, name, norm in _unwrap(self.model, lambda module: isinstance(module, FrozenNorm)):
                getattr(parent, name).train(norm.training)
            self.model.requires_grad_(False)
            for parameter in self.was_trainable:
                parameter.requires_grad_(True)
        return gone


def bare_path(model: nn.Module, path: str) -> str:
    """A dotted path as it reads in the model without wrappers."""
    module, hops = model, []
    for hop in path.split("."):
        if not (isinstance(module, Wrapper) and hop == "base"):
            hops.append(hop)
        module = getattr(module, hop)
    return ".".join(hops)


def _unwrap(model: nn.Module, which: Callable[[nn.Module], bool]) -> list[tuple[nn.Module, str, Any]]:
    """Put the base of each wrapper that is meant in its place; gives back where each of them was."""
    places = [(parent, name) for parent in model.modules() for name, _ in parent.named_children()]
    found = []
    for parent, name in places:
        child = getattr(parent, name)
        if which(child):
            setattr(parent, name, child.base)
            found.append((parent, name, child))
    return found


def _plain(state: Mapping[str, Tensor]) -> set[str]:
    """Names as they were before pruning, which stores values and their places instead of a weight."""
    stems = {key: key.rpartition(".") for key in state}
    return {f"{stem}.weight" if leaf in PRUNED else key for key, (stem, _, leaf) in stems.items()}


def _below(place: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{place}."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
