"""The adapters of a model as one thing: train, count, save, switch off, merge, remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from torch import Tensor, nn

from ..anatomy import Site, unwrapped
from ..errors import ModelError, optional
from ..sparsity.masked import PRUNED, Masked
from .config import AdapterConfig
from .layer import AdapterLayer, FrozenNorm
from .trainable import Trained, train_again
from .wrapping import Wrapped, check_unshared, path_without_wrappers, unwrap, wrap

_ATTRIBUTE = "_sparsebench_adapters"


def adapter_sets(model: nn.Module) -> dict[str, AdapterSet]:
    """The sets that a model carries, by name, oldest first. They are copied and pickled with the model.

    Args:
        model: any model; one without adapters has none. Wrappers of all of it are seen through.
    """
    return dict(getattr(unwrapped(model), _ATTRIBUTE, {}))


def register(adapters: AdapterSet) -> None:
    """Note on its model that a set is attached."""
    setattr(adapters.model, _ATTRIBUTE, adapter_sets(adapters.model) | {adapters.name: adapters})


@dataclass(eq=False)
class AdapterSet:
    """One set of adapters in a model; `attach` makes it.

    Attributes:
        model: the model that carries it.
        config: what it was made from.
        name: its name in the model.
        was_trainable: the parameters that had a gradient before the first set was attached; the last one gives it back.
        heads: the heads that train with it.
        merged: what `merge` took off, for `unmerge`.

    Raises:
        ModelError: acting on a set that is not on its model (removed, merged).
    """

    model: nn.Module
    config: AdapterConfig
    name: str
    was_trainable: tuple[Trained, ...]
    heads: tuple[Site, ...]
    merged: list[Wrapped] = field(default_factory=list)

    def __repr__(self) -> str:
        """One line: the model by its class, and what is trained."""
        layers = sum(1 for _ in self.layers())
        head = self.count(head=True) - self.count()
        return (
            f"AdapterSet({self.name!r} on {type(self.model).__name__}: {layers} layers, {self.count():,} parameters, "
            f"head {head:,}, {self.config})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: that line, and the added modules with their parameters."""
        with optional():
            import pandas

        rows = []
        for name, module in self.modules().items():
            size = sum(parameter.numel() for parameter in module.parameters())
            rows.append({"module": name, "class": type(module).__name__, "parameters": size})
        return f"<p>{escape(repr(self))}</p>{pandas.DataFrame(rows).to_html(max_rows=20, index=False)}"

    def layers(self) -> Iterator[tuple[str, AdapterLayer]]:
        """Adapter layers by the name of their place in the model without wrappers, in order."""
        for path, module in self.model.named_modules():
            if isinstance(module, AdapterLayer) and module.owner == self.name and not module.observes:
                # Blocks may have been dropped since it was attached, so that those behind them moved up.
                module.place = path_without_wrappers(self.model, path)
                yield module.place, module

    def modules(self) -> dict[str, nn.Module]:
        """The added modules by name; one that several layers share comes under its first name. No head."""
        found: dict[int, tuple[str, nn.Module]] = {}
        for place, layer in self.layers():
            for child, module in layer.adapter_modules():
                found.setdefault(id(module), (f"{place}.{child}", module))
        return dict(found.values())

    def parameters(self) -> list[nn.Parameter]:
        """Everything that is trained: the adapters' parameters, then the head's."""
        found = dict.fromkeys(self._adapter_parameters())
        for head in self.heads:
            found |= dict.fromkeys(head.get().parameters())
        return list(found)

    def requires_grad_(self, flag: bool) -> AdapterSet:
        """Freeze or open the parameters of this set, without the head.

        Args:
            flag: whether they get a gradient.
        """
        for parameter in self._adapter_parameters():
            parameter.requires_grad_(flag)
        return self

    def prunable(self) -> dict[str, Masked]:
        """The layers whose weight can be pruned, by name."""
        found: dict[str, Masked] = {}
        for name, module in self.modules().items():
            for inner, layer in module.named_modules(prefix=name):
                if isinstance(layer, Masked):
                    found[inner] = layer
        return found

    def weights(self) -> dict[str, nn.Parameter]:
        """What is stored of the prunable weights (not biases): the weight, or the surviving values, by name."""
        return {f"{name}.weight": layer.stored for name, layer in self.prunable().items()}

    def count(self, *, head: bool = False) -> int:
        """Number of parameters that are trained, without pruned entries.

        Args:
            head: count those of the head, too.
        """
        parameters = self.parameters() if head else self._adapter_parameters()
        return sum(parameter.numel() for parameter in parameters)

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors of the adapters by name in the model without wrappers, and the head's under its own name."""
        named: dict[int, tuple[str, Tensor]] = {}  # by identity; holds the tensors, so that no identity is used again
        seen: set[int] = set()
        for place, layer in self.layers():
            # What several layers share is stored once, under its first name: modules, and parameters by themselves.
            shared: set[str] = set()
            for child, module in layer.adapter_modules():
                if id(module) in seen:
                    shared.add(child)
                seen.add(id(module))
            for key, value in layer.adapter_state().items():
                child = key.partition(".")[0]
                if child not in shared:
                    named.setdefault(id(value), (f"{place}.{key}", value))
        state = {key: value.detach() for key, value in named.values()}
        return state | self.head_state()

    def named_heads(self) -> dict[str, nn.Module]:
        """The heads that train with this set, by their names in the model without wrappers."""
        return {path_without_wrappers(self.model, head.path): head.get() for head in self.heads}

    def head_state(self) -> dict[str, Tensor]:
        """What the heads hold, by name in the model without wrappers."""
        state: dict[str, Tensor] = {}
        for path, head in self.named_heads().items():
            state |= {f"{path}.{key}": value for key, value in head.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state_dict` gave, pruned entries and removed units included.

        Args:
            state: tensors by name.

        Raises:
            ModelError: names or shapes do not match.
        """
        expected = _plain(self.state_dict())
        given = _plain(state)
        if expected != given:
            missing = sorted(expected - given)
            unexpected = sorted(given - expected)
            raise ModelError(f"these are not the adapters of this model: missing {missing}, unexpected {unexpected}")
        for name, value in self.head_state().items():
            if state[name].shape != value.shape:
                raise ModelError(f"{name} has shape {tuple(value.shape)}, not {tuple(state[name].shape)} as given")
        try:
            for place, layer in self.layers():
                layer.load_state_dict(_below(place, state), strict=False)
        except RuntimeError as error:  # other shapes
            raise ModelError(f"these are not the adapters of this model: {error}") from error
        for path, head in self.named_heads().items():
            head.load_state_dict(_below(path, state))

    def enable(self) -> None:
        """Let the adapters act (they do after `attach`)."""
        self.check_attached()
        for _, layer in self.layers():
            layer.enabled = True

    def disable(self) -> None:
        """Give the model the outputs it has without this set; the trained head stays."""
        self.check_attached()
        for _, layer in self.layers():
            layer.enabled = False

    def merge(self) -> nn.Module:
        """Merge the adapters into the weights of the model, and take them off.

        Exact for kinds that are linear in their input. The head keeps what it learned, and the parameters get back the
        `requires_grad` they had. `unmerge` undoes it.

        Returns:
            The model.

        Raises:
            ModelError: a kind that is not linear in its input, layers that are disabled, parameters that other layers
                share, or sets that are built on this one.
        """
        self._check_free()
        layers = [layer for _, layer in self.layers()]
        for layer in layers:
            layer.check_mergeable()
        check_unshared(self.model, layers)
        if not all(layer.enabled for layer in layers):
            raise ModelError(f"adapters {self.name!r} are disabled: enable() them before merge()")
        for layer in layers:
            layer.merge()
        self.merged = self._detach()
        return self.model

    def unmerge(self) -> nn.Module:
        """Put merged adapters back; the weights are again, bit for bit, those from before `merge`.

        Returns:
            The model.

        Raises:
            ModelError: the set is not merged, or the model has changed since.
        """
        if not self.merged or self.name in adapter_sets(self.model):
            raise ModelError(f"adapters {self.name!r} are not merged: unmerge() undoes merge()")
        layers = [wrapper for _, _, wrapper in self.merged if isinstance(wrapper, AdapterLayer)]
        whole = _in_place(self.model, self.merged) and all(layer.can_unmerge() for layer in layers)
        if not whole or not wrap(self.merged):
            raise ModelError(
                f"the model has changed since adapters {self.name!r} were merged: undo that first (of several sets, "
                "unmerge or remove the newest first)"
            )
        # Without any set the model trained as before the first one: it freezes again, but for what this set adds.
        if not adapter_sets(self.model):
            adapted = {id(parameter) for parameter in self._adapter_parameters()}
            for parameter in self.model.parameters():
                if id(parameter) not in adapted:
                    parameter.requires_grad_(False)
        for _, _, wrapper in self.merged:
            wrapper.match_mode()
        for layer in layers:
            layer.unmerge()
        for head in self.heads:
            head.get().requires_grad_(True)
        self.merged = []
        register(self)
        return self.model

    def remove(self) -> nn.Module:
        """Take the adapters off and return the model; the head keeps what it learned."""
        self._check_free()
        self._detach()
        return self.model

    def check_attached(self) -> None:
        """Raise `ModelError` unless the adapters are on the model."""
        if adapter_sets(self.model).get(self.name) is not self:
            raise ModelError(f"adapters {self.name!r} are not on the model: they were removed or merged")

    def _check_free(self) -> None:
        self.check_attached()
        for name, other in adapter_sets(self.model).items():
            if self.name in other.config.uses():
                raise ModelError(f"adapters {name!r} are built on {self.name!r}: remove those first")

    def _adapter_parameters(self) -> list[nn.Parameter]:
        found: dict[nn.Parameter, None] = {}
        for _, layer in self.layers():
            found |= dict.fromkeys(value for _, value in layer.adapter_parameters())
        return list(found)

    def _detach(self) -> list[Wrapped]:
        """Unwrap this set's layers; with the last set the model is as it was, but for the head. Gives what went."""
        gone = unwrap(self.model, lambda module: isinstance(module, AdapterLayer) and module.owner == self.name)
        rest = adapter_sets(self.model)
        rest.pop(self.name)
        if rest:
            setattr(self.model, _ATTRIBUTE, rest)
            # A head that another set trains, too, stays trainable.
            still_trained = any(other.heads for other in rest.values())
            for head in self.heads:
                head.get().requires_grad_(still_trained)
            return gone
        delattr(self.model, _ATTRIBUTE)
        norms = unwrap(self.model, lambda module: isinstance(module, FrozenNorm))
        for _, _, norm in norms:
            norm.base_layer.train(norm.training)
        train_again(self.model, self.was_trainable)
        return gone + norms


def _in_place(model: nn.Module, gone: Sequence[Wrapped]) -> bool:
    """Whether the parents of what was taken off are in the model still, or were taken off with it."""
    known = {id(module) for module in model.modules()} | {id(wrapper) for _, _, wrapper in gone}
    return all(id(parent) in known for parent, _, _ in gone)


def _plain(state: Mapping[str, Tensor]) -> set[str]:
    """Names as they were before pruning, which stores values and their places instead of a weight."""
    names: set[str] = set()
    for key in state:
        stem, _, leaf = key.rpartition(".")
        names.add(f"{stem}.weight" if leaf in PRUNED else key)
    return names


def _below(place: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{place}."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
