"""The view of a model: its blocks, and of each the attention, the MLP, norms, linear and convolution sites."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from ..errors import ModelError
from .experts import Experts
from .parts import MLP, Attention
from .removal import check_bare, drop
from .removed import RemovedAttention, RemovedMLP, layer_idx_of
from .sites import Site, joined


@dataclass(eq=False, kw_only=True)
class Block:
    """One residual block. For a CNN it is one stage unit and `linears` are its pointwise (1x1) convolutions.

    Attributes:
        index: its place among the blocks.
        site: where it lies.
        attention: its attention, if it has one.
        mlp: its feed-forward part, if it has one.
        norms: all its norms, in order.
        linears: every linear layer, in order.
        convs: the convolutions of its main path, of any kernel size, in the order in which they act; those of
            squeeze-and-excitation are not among them.
        shortcut_convs: the convolutions of its shortcut.
        post_norm: `norms` normalise the sums of the two sub-layers and their inputs (BERT) instead of the inputs.
        attention_norms: those of `norms` that only the attention has, on its input or output; unless given, the first
            where there are two. None where that cannot be said.
        mlp_norms: the same of the feed-forward part; unless given, the second where there are two.
        shared_norms: those whose output both sub-layers read, side by side (a parallel residual), so that they go with
            the second that goes.
        branches: where the block is x <- x + f(x) once per branch and nothing else, the children of `site` whose chain
            is f, such as (norm1, attn, ls1, drop_path1); these sites hold what the block calls, wrappers included.
        removable: the model runs without this block. False where it changes the shape, or others use what it holds.
    """

    index: int
    site: Site
    attention: Attention | None = None
    mlp: MLP | None = None
    norms: tuple[Site, ...] = ()
    linears: tuple[Site, ...] = ()
    convs: tuple[Site, ...] = ()
    shortcut_convs: tuple[Site, ...] = ()
    post_norm: bool = False
    attention_norms: tuple[Site, ...] | None = None
    mlp_norms: tuple[Site, ...] | None = None
    shared_norms: tuple[Site, ...] = ()
    branches: tuple[tuple[Site, ...], ...] = ()
    removable: bool = True

    def __post_init__(self) -> None:
        if len(self.norms) == 2 and self.attention is not None and self.mlp is not None:
            self.attention_norms = self.norms[:1] if self.attention_norms is None else self.attention_norms
            self.mlp_norms = self.norms[1:] if self.mlp_norms is None else self.mlp_norms

    def remove_mlp(self) -> None:
        """Take the FFN out with its norms; the residual connection stays, so that x passes as it is.

        Raises:
            ModelError: there is none, the block is a convolutional unit, adapters lie around it, or it cannot be said
                which norms are its own. Nothing changes.
        """
        mlp = self.mlp
        if mlp is None or mlp.kind == "conv":
            raise ModelError(f"{self.site.path} has no FFN that can be taken out")
        norms = self._own_norms(self.mlp_norms, mlp.parts, alone=self.attention is None)
        gone = [site.get() for site in mlp.parts]
        mlp.replace(RemovedMLP(returns_tuple=mlp.returns_tuple))
        shared = None if mlp.experts is None else mlp.experts.shared
        if shared is not None and shared.parent is self.site.get():
            # Granite: the block itself adds the output of the shared FFN to that of the mixture.
            gone.append(shared.get())
            shared.replace(RemovedMLP())
        self.mlp = None
        self._forget(norms, mlp.site, gone)

    def remove_attention(self) -> None:
        """Take the attention out with its norms; the residual connection stays, so that x passes as it is.

        A cache goes on counting tokens in this block, with one number for each.

        Raises:
            ModelError: as `remove_mlp`. Nothing changes.
        """
        attention = self.attention
        if attention is None:
            raise ModelError(f"{self.site.path} has no attention that can be taken out")
        if not attention.removable:
            raise ModelError(f"{attention.site.path} gives other blocks something that they need: it has to stay")
        norms = self._own_norms(self.attention_norms, (attention.site,), alone=self.mlp is None)
        stand_in = RemovedAttention(
            adds_input=attention.adds_input,
            returns_tuple=attention.returns_tuple,
            layer_idx=layer_idx_of(attention.site.get()),
        )
        gone = [attention.site.get()]
        attention.site.replace(stand_in.train(gone[0].training))
        self.attention = None
        self._forget(norms, attention.site, gone)

    def _own_norms(self, norms: tuple[Site, ...] | None, parts: tuple[Site, ...], *, alone: bool) -> tuple[Site, ...]:
        """The norms that go with a part; checks that they are known and that no adapter lies around anything."""
        if norms is None:
            if self.norms:
                raise ModelError(f"the describer of {self.site.path} does not say which norms belong to which part")
            norms = ()
        if alone:
            norms += self.shared_norms
        check_bare((*parts, *norms))
        return norms

    def _forget(self, norms: tuple[Site, ...], site: Site, gone: list[nn.Module]) -> None:
        for norm in norms:
            norm.replace(nn.Identity())
        lost: set[nn.Module] = set()
        for module in gone:
            lost |= set(module.modules())
        self.norms = tuple(norm for norm in self.norms if norm not in norms)
        self.linears = tuple(
            linear for linear in self.linears if linear.get() not in lost and linear.parent not in lost
        )
        self.branches = tuple(branch for branch in self.branches if not _holds(branch, site))


@dataclass(eq=False, kw_only=True)
class Anatomy:
    """The whole model.

    Attributes:
        model: the model itself.
        blocks: its blocks, in order.
        width: the size of the final hidden state.
        embeddings: what turns inputs into hidden states.
        final_norm: the norm after the last block.
        head: the task head or vocabulary projection.
        further_heads: those whose outputs a model averages with that of `head` (a DeiT with a distillation token), or
            that `head` reads and no body holds (DistilBERT).
        prefix_tokens: where blocks see an image as a row of tokens, those before its patches (class token, registers).
        grid: rows and columns of these patches, at the image size that the model was built for.
        further_tokens: whether tokens may be put among the patches; not so where each attention has positions for these
            patches only (rotary ones).
        last_convs: convolutions between the last block and the pooling (the widening one of MobileNetV2).
        outside: parts of the model that are not of this view (the text tower of CLIP); transforms do not touch them.
        uncalled: linear layers whose weights are read by the module that holds them, which never calls them: nothing
            can be put around them.
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
    further_tokens: bool = True
    last_convs: tuple[Site, ...] = ()
    outside: tuple[Site, ...] = ()
    uncalled: tuple[Site, ...] = ()

    @property
    def heads(self) -> tuple[Site, ...]:
        """All heads: what a task trains whatever else it trains. Empty for a model that ends with its features."""
        if self.head is None:
            return self.further_heads
        return (self.head, *self.further_heads)

    @property
    def traits(self) -> frozenset[str]:
        """What the model has: "blocks", "attention", "ffn" (an FFN that can be cut into neurons), "experts" (stock or
        converted), "convolutions", "image tokens", "causal".
        """
        mlps = [block.mlp for block in self.blocks if block.mlp is not None]
        attentions = [block.attention for block in self.blocks if block.attention is not None]
        found = {
            "blocks": bool(self.blocks),
            "attention": bool(attentions),
            "ffn": any(mlp.kind in ("gated", "plain") for mlp in mlps),
            "experts": any(mlp.kind == "moe" for mlp in mlps),
            "convolutions": any(block.convs for block in self.blocks) or any(mlp.kind == "conv" for mlp in mlps),
            "image tokens": self.prefix_tokens is not None,
            "causal": any(attention.causal for attention in attentions),
        }
        return frozenset(name for name, there in found.items() if there)

    def sites(self) -> Iterator[Site]:
        """Every site of the view."""
        yield from _sites(self)

    def remove(self, blocks: Iterable[int]) -> None:
        """Take blocks out of the model, in place; the others move up, in this view too.

        Their indices in a cache of keys and values and what the configuration says of the layers follow, so that the
        model generates, saves and loads as one that was built with the other blocks.

        Args:
            blocks: their indices.

        Raises:
            ModelError: a block that is not there or that others need, none that would be left, adapters around a block,
                and a configuration that does not count the blocks. Nothing changes.

        Example: `describe(model).remove([3, 7])`.
        """
        dropped = set(blocks)
        unknown = sorted(dropped - set(range(len(self.blocks))))
        if unknown:
            raise ModelError(f"remove({sorted(dropped)}): the model has blocks 0..{len(self.blocks) - 1}")
        if len(dropped) == len(self.blocks):
            raise ModelError("remove() has to leave at least one block")
        for index in sorted(dropped):
            if not self.blocks[index].removable:
                raise ModelError(f"{self.blocks[index].site.path} changes the shape, or others need it: it has to stay")
        sites = [block.site for block in self.blocks]
        check_bare(sites)
        drop(self.model, sites, dropped)
        self.blocks = tuple(block for block in self.blocks if block.index not in dropped)
        for index, block in enumerate(self.blocks):
            block.index = index
        self.name_sites()

    def name_sites(self) -> None:
        """Write the dotted names of all sites into their `path`."""
        names = {id(module): name for name, module in self.model.named_modules()}
        for site in self.sites():
            site.path = joined(names[id(site.parent)], site.name)


def _sites(value: object) -> Iterator[Site]:
    if isinstance(value, Site):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _sites(item)
    elif isinstance(value, (Anatomy, Block, Attention, MLP, Experts)):
        for field in dataclasses.fields(value):
            yield from _sites(getattr(value, field.name))


def _holds(branch: tuple[Site, ...], site: Site) -> bool:
    return any(part.parent is site.parent and part.name == site.name for part in branch)
