"""One view of any backbone: ordered blocks, each with its attention, MLP, norms and linear sites.

Transforms work on this view and never on module names. A describer knows the names of one family and builds the view.
Those of other libraries are files in `describers/`, each of which says in `SERVES` which classes it is for; models of
our own and of users register theirs with `register_describer`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .errors import ModelError


class UnknownAnatomy(ModelError):  # noqa: N818 - reads as what it says
    """No describer knows this model."""


class Wrapper(nn.Module):
    """A module that stands in the place of another, `base_layer`, and calls it. Describers see through it."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer


@dataclass(eq=False)
class Site:
    """A place in a model that holds a module or a parameter.

    `path` is the dotted name from the model that was described; `describe` fills it in.
    """

    parent: nn.Module
    name: str
    path: str = ""

    def __post_init__(self) -> None:
        self.path = self.path or self.name

    def get(self) -> Any:
        """The module (or, for fused expert tensors, the parameter) that lies here now."""
        return getattr(self.parent, self.name)

    def tensor(self) -> nn.Parameter:
        """The parameter that lies here now; a TypeError if it is a module."""
        value = getattr(self.parent, self.name)
        if not isinstance(value, nn.Parameter):
            raise TypeError(f"{self.path} is a {type(value).__name__}, not a parameter")
        return value

    def replace(self, module: nn.Module) -> None:
        """Put `module` here."""
        setattr(self.parent, self.name, module)


class ExpertWeights(NamedTuple):
    """Weights of one expert in the layout of `nn.Linear`: gate, up (hidden, width), down (width, hidden)."""

    gate: Tensor | None
    up: Tensor
    down: Tensor


@dataclass(eq=False, kw_only=True)
class Experts:
    """Routed experts of an MLP; `tensors` are the fused parameters that hold them."""

    num_experts: int
    top_k: int
    tensors: tuple[Site, ...]
    router: Site
    shared: Site | None = None

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        raise NotImplementedError


@dataclass(eq=False, kw_only=True)
class StackedExperts(Experts):
    """Experts of transformers 5: gate_up (experts, 2 * hidden, width) and down (experts, width, hidden)."""

    gate_up: Site
    down: Site

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        gate, up = self.gate_up.tensor()[expert].chunk(2, dim=0)
        return ExpertWeights(gate, up, self.down.tensor()[expert])


@dataclass(eq=False, kw_only=True)
class MLP:
    """Feed-forward part of a block.

    `site` is where its input enters and `output` where its result leaves, before the residual sum. They differ only
    when the FFN is spread over two modules (BERT); then `tail` is the second one, and `add_norm` the module that holds
    it, called as add_norm(hidden, input), which adds the input and normalises. `replace` puts a module that maps input
    to result in the place of the whole.
    """

    site: Site
    output: Site
    kind: Literal["gated", "plain", "conv", "moe"]
    width: int
    hidden: int
    gate: Site | None = None
    up: Site | None = None
    down: Site | None = None
    activation: Callable[[Tensor], Tensor] | None = None
    experts: Experts | None = None
    tail: Site | None = None
    add_norm: Site | None = None

    @property
    def linears(self) -> tuple[Site, ...]:
        """The linear sites that exist, in the order gate, up, down."""
        return tuple(site for site in (self.gate, self.up, self.down) if site is not None)

    def replace(self, module: nn.Module, tail: nn.Module | None = None) -> None:
        """Put `module` in the place of the FFN; where it has a second module, `tail` or an identity goes there."""
        self.site.replace(module)
        if self.tail is None:
            return
        if tail is None:
            tail = nn.Identity()
        self.tail.replace(tail)


Prefixed = Callable[..., Any]
"""prefixed(attention, keys, values, *args, **keywords): call a module in the place of an attention as
attention(*args, **keywords), with further keys and values, both (key/value heads, n, head_dim), seen by all queries."""


@dataclass(eq=False, kw_only=True)
class Attention:
    """Attention of a block: either separate q, k, v sites or one fused qkv site (rows q, then k, then v), and o.

    `interleaved`: the rows of qkv lie head by head instead, q, k, v of each (GPT-NeoX).
    A mixture of attention experts has none of these sites. `prefixed` is None where nothing knows how to do that.
    """

    site: Site
    num_heads: int
    num_kv_heads: int
    head_dim: int
    o: Site | None = None
    q: Site | None = None
    k: Site | None = None
    v: Site | None = None
    qkv: Site | None = None
    interleaved: bool = False
    prefixed: Prefixed | None = None

    @property
    def linears(self) -> tuple[Site, ...]:
        """The linear sites that exist, in the order q, k, v, qkv, o."""
        return tuple(site for site in (self.q, self.k, self.v, self.qkv, self.o) if site is not None)


@dataclass(eq=False, kw_only=True)
class Block:
    """One residual block. For a CNN it is one stage unit and `linears` are its pointwise (1x1) convolutions.

    `convs`: the convolutions of its main path, of any kernel size, in the order in which they act; those of a shortcut
    and of squeeze-and-excitation are not among them.
    `post_norm`: `norms` normalise the sums of the two sub-layers and their inputs (BERT) instead of the inputs.
    `branches`: where the block is x <- x + f(x) once per branch and nothing else, the children of `site` whose chain is
    f, such as (norm1, attn, ls1, drop_path1); these sites hold what the block calls, wrappers included.
    """

    index: int
    site: Site
    attention: Attention | None = None
    mlp: MLP | None = None
    norms: tuple[Site, ...] = ()
    linears: tuple[Site, ...] = ()
    convs: tuple[Site, ...] = ()
    post_norm: bool = False
    branches: tuple[tuple[Site, ...], ...] = ()


@dataclass(eq=False, kw_only=True)
class Anatomy:
    """The whole model. `width` is the size of the final hidden state, `head` the task head or vocabulary projection.

    `further_heads`: those whose outputs a model averages with that of `head` (a DeiT with a distillation token), or
    that `head` reads and no body holds (DistilBERT).
    `prefix_tokens`: where blocks see an image as a row of tokens, those before its patches (class token, registers).
    `grid`: rows and columns of these patches, at the image size that the model was built for.
    """

    model: nn.Module
    blocks: tuple[Block, ...]
    width: int
    embeddings: tuple[Site, ...] = ()
    final_norm: Site | None = None
    head: Site | None = None
    further_heads: tuple[Site, ...] = ()
    prefix_tokens: int | None = None
    grid: tuple[int, int] | None = None

    @property
    def heads(self) -> tuple[Site, ...]:
        """All heads: what a task trains whatever else it trains. Empty for a model that ends with its features."""
        if self.head is None:
            return self.further_heads
        return (self.head, *self.further_heads)

    def sites(self) -> Iterator[Site]:
        """Every site of the view."""
        yield from _sites(self)


@runtime_checkable
class DescribesMLP(Protocol):
    """A module that stands in the place of an FFN and describes itself (our own MoE layer does)."""

    def describe_mlp(self, site: Site, output: Site, tail: Site | None) -> MLP:
        """The view of this module."""
        ...


@runtime_checkable
class DescribesAttention(Protocol):
    """A module that stands in the place of an attention and describes itself (our attention experts do)."""

    def describe_attention(self, site: Site) -> Attention:
        """The view of this module."""
        ...


Describer = Callable[[nn.Module], Anatomy]
_registered: list[tuple[Callable[[nn.Module], bool], Describer]] = []
_listeners: list[set[str]] = []


def register_describer(which: type[nn.Module] | Callable[[nn.Module], bool], describer: Describer) -> None:
    """Teach `describe` a new kind of model, given by its class or by a predicate. The newest registration wins."""
    matches = partial(_is_instance, which) if isinstance(which, type) else which
    _registered.insert(0, (matches, describer))


def describe(model: nn.Module) -> Anatomy:
    """The anatomy of a model. Raises `UnknownAnatomy` when no describer knows it."""
    describer = _describer_of(model)
    if describer is None:
        name = type(model).__name__
        raise UnknownAnatomy(
            f"no describer knows {type(model).__module__}.{name}; "
            f"register one: sparsebench.models.anatomy.register_describer({name}, describe_{name.lower()})"
        )
    for used in _listeners:
        used.add(getattr(describer, "__module__", type(describer).__module__))
    anatomy = describer(model)
    _name_sites(anatomy, model)
    return anatomy


@contextmanager
def used_describers() -> Iterator[set[str]]:
    """Collects, while it is open, the names of the Python modules whose describers `describe` calls."""
    used: set[str] = set()
    _listeners.append(used)
    try:
        yield used
    finally:
        _listeners[:] = [listener for listener in _listeners if listener is not used]


def see_through(parent: nn.Module, name: str) -> Site:
    """The site of the original module below any wrappers that stand at `parent.name`."""
    site = Site(parent, name)
    while isinstance(site.get(), Wrapper):
        site = Site(site.get(), "base_layer")
    return site


def inner_sites(module: nn.Module, skip: Collection[nn.Module] = (), path: str = "") -> Iterator[Site]:
    """The sites of all modules below `module` with parameters of their own, seen through wrappers, in order.

    The modules in `skip` and what lies below them are excluded. `path` is that of `module` in the model.
    """
    for name, _ in module.named_children():
        site = Site(module, name, _joined(path, name))
        while isinstance(site.get(), Wrapper):
            site = Site(site.get(), "base_layer", f"{site.path}.base_layer")
        inner = site.get()
        if not any(inner is skipped for skipped in skip):
            if inner._parameters:
                yield site
            yield from inner_sites(inner, skip, site.path)


def head_of(model: nn.Module, body: nn.Module) -> Site | None:
    """The head of a model that holds `body` and a head: its last child that is not the body and has parameters."""
    if model is body:
        return None
    names = [name for name, child in model.named_children() if child is not body and has_parameters(child)]
    if not names:
        return None
    return see_through(model, names[-1])


def _is_instance(cls: type[nn.Module], model: nn.Module) -> bool:
    return isinstance(model, cls)


def _describer_of(model: nn.Module) -> Describer | None:
    for matches, describer in _registered:
        if matches(model):
            return describer
    for cls in type(model).__mro__:
        describer = _built_in().get(f"{cls.__module__}.{cls.__qualname__}")
        if describer is not None:
            return describer
    return None


@functools.cache
def _built_in() -> Mapping[str, Describer]:
    """The describers of `describers/` by the full name of each class that they serve."""
    found: dict[str, Describer] = {}
    package = importlib.import_module(".describers", __package__)
    for info in pkgutil.iter_modules(package.__path__):
        family = importlib.import_module(f".describers.{info.name}", __package__)
        for name in family.SERVES:
            if name in found:
                raise ValueError(f"both {found[name].__module__} and {family.__name__} serve {name}")
            found[name] = family.describe
    return found


def _sites(value: object) -> Iterator[Site]:
    if isinstance(value, Site):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _sites(item)
    elif isinstance(value, (Anatomy, Block, Attention, MLP, Experts)):
        for field in dataclasses.fields(value):
            yield from _sites(getattr(value, field.name))


def _name_sites(anatomy: Anatomy, model: nn.Module) -> None:
    names = {id(module): name for name, module in model.named_modules()}
    for site in anatomy.sites():
        site.path = _joined(names[id(site.parent)], site.name)


def _joined(path: str, name: str) -> str:
    """The dotted name of a child of the module at `path`, which is empty for the model itself."""
    if not path:
        return name
    return f"{path}.{name}"


def has_parameters(module: nn.Module) -> bool:
    """Whether a module holds any parameter."""
    return next(module.parameters(), None) is not None


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a plain dense `nn.Linear` with floating-point weights (not quantised, not wrapped)."""
    return type(module) is nn.Linear and module.weight.is_floating_point() and module.weight.layout == torch.strided
