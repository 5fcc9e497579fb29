"""What trains: one option, the same for every method that trains a part of the model it is given.

"none" freezes everything, "all" trains everything, "all_but_router" everything but the routers. "head", "router",
"experts", "adapters" and "norms" train that part, and, where the task puts a new head on the backbone, the head too,
since it is random. The vocabulary projection of a model that writes is no such head: it trains with the first two only.

Parts are found through the anatomy, so that they are the same ones in a converted model and in a stock mixture.
"""

from collections.abc import Iterator
from typing import Literal

from torch import nn

from sparsebench.models.anatomy import Anatomy, Site, UnknownAnatomy, Wrapper, describe

from ..contracts.context import Context
from ..contracts.method import NotApplicable

Trains = Literal["none", "head", "all", "all_but_router", "router", "experts", "adapters", "norms"]


def train_only(model: nn.Module, train: Trains, context: Context) -> nn.Module:
    """Let what trains have a gradient, and nothing else.

    More than a head trains in float32: bfloat16 is too coarse for small updates.

    Args:
        model: the model.
        train: what trains.
        context: says whether the head is new.

    Returns:
        `model`.

    Raises:
        NotApplicable: the model has none of what `train` names, or a head that is not new.
    """
    if train == "all":
        return model.float().requires_grad_(True)
    if train == "none":
        return model.requires_grad_(False)
    chosen = trained_parameters(model, train)
    if train == "head" and context.target.generates:
        chosen = []
    if not chosen:
        raise NotApplicable(f"train: {train}, but {type(model).__name__} has nothing of that kind to train here")
    model.requires_grad_(False)
    if train != "head":
        model.float()
        if not context.target.generates:
            chosen += trained_parameters(model, "head")
    for parameter in chosen:
        parameter.requires_grad_(True)
    return model


def trained_parameters(model: nn.Module, train: Trains) -> list[nn.Parameter]:
    """The parameters of a model that `train` names, without the head unless it is what it names."""
    if train == "none":
        return []
    if train == "all":
        return list(model.parameters())
    if train == "all_but_router":
        routers = set(_of_mixtures(describe(model), "router"))
        return [parameter for parameter in model.parameters() if parameter not in routers]
    if train == "adapters":
        return list(dict.fromkeys(_adapters(model)))
    if train == "head":
        sites = _heads(model)
    elif train == "norms":
        sites = _norms(describe(model))
    else:
        return list(dict.fromkeys(_of_mixtures(describe(model), train)))
    found: dict[nn.Parameter, None] = {}
    for site in sites:
        found |= dict.fromkeys(site.get().parameters())
    return list(found)


def _heads(model: nn.Module) -> list[Site]:
    """Those of the anatomy; of a model whose body no describer knows (a graph network), its child called `head`."""
    try:
        return list(describe(model).heads)
    except UnknownAnatomy:
        return [Site(model, "head")] if isinstance(getattr(model, "head", None), nn.Module) else []


def _norms(anatomy: Anatomy) -> list[Site]:
    sites = [site for block in anatomy.blocks for site in block.norms]
    if anatomy.final_norm is not None:
        sites.append(anatomy.final_norm)
    return sites


def _of_mixtures(anatomy: Anatomy, train: Trains) -> Iterator[nn.Parameter]:
    """Parameters of the routers, or of the experts, shared ones too, of FFN and attention."""
    for block in anatomy.blocks:
        experts = None if block.mlp is None else block.mlp.experts
        if experts is not None and train == "router":
            yield from experts.router.get().parameters()
        elif experts is not None:
            yield from map(_parameter, experts.tensors)
            if experts.shared is not None:
                yield from experts.shared.get().parameters()
        if block.attention is not None:
            yield from _of_attention(block.attention.site.get(), train)


def _parameter(site: Site) -> nn.Parameter:
    """What lies there. Raises TypeError while an adapter has put something else in its place."""
    tensor = site.tensor()
    if not isinstance(tensor, nn.Parameter):
        raise TypeError(f"{site.path} is a tensor, not a parameter")
    return tensor


def _of_attention(attention: nn.Module, train: Trains) -> Iterator[nn.Parameter]:
    """The same of an attention, if it is a mixture: a module with a child called `router`."""
    router = getattr(attention, "router", None)
    if not isinstance(router, nn.Module):
        return
    own = dict.fromkeys(router.parameters())
    if train == "router":
        yield from own
    else:
        yield from (parameter for parameter in attention.parameters() if parameter not in own)


def _adapters(model: nn.Module) -> Iterator[nn.Parameter]:
    """What wrappers add to the modules that they stand in the place of."""
    for module in model.modules():
        if isinstance(module, Wrapper):
            base = set(module.base_layer.parameters())
            yield from (parameter for parameter in module.parameters() if parameter not in base)
