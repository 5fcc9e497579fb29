"""The backward pass without torch's engine, which asks for a real device: the graph is walked here, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

Grads = dict[Any, list[Tensor | None]]


def backward(outputs: Sequence[Tensor], grads: Sequence[Tensor | None], *, create_graph: bool = False) -> None:
    """Add the gradients of outputs to the leaves, as `torch.autograd.backward` does.

    Args:
        outputs: with a graph behind them.
        grads: of the outputs; None is 1.
        create_graph: whether the gradients get a graph of their own.
    """
    with torch.set_grad_enabled(create_graph):
        for node, arrived in walk(outputs, grads).items():
            if hasattr(node, "variable"):
                _accumulate(node.variable, arrived[0], create_graph)


def grad(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grads: Sequence[Tensor | None], *, create_graph: bool = False
) -> list[Tensor | None]:
    """The gradients of inputs, as of `torch.autograd.grad`; None for those that the outputs do not depend on."""
    edges = [get_gradient_edge(tensor) for tensor in inputs]
    with torch.set_grad_enabled(create_graph):
        arrived = walk(outputs, grads)
    found = []
    for edge in edges:
        slots = arrived.get(edge.node)
        found.append(None if slots is None else slots[edge.output_nr])
    return found


def walk(outputs: Sequence[Tensor], grads: Sequence[Tensor | None]) -> Grads:
    """What arrives at each node of the graph, for each of its outputs."""
    arrived: Grads = {}
    roots = []
    for output, given in zip(outputs, grads, strict=True):
        edge = get_gradient_edge(output)
        roots.append(edge.node)
        _add(arrived, edge.node, edge.output_nr, torch.ones_like(output) if given is None else given)
    waiting = _callers(roots)
    ready = [node for node in dict.fromkeys(roots) if not waiting[node]]
    while ready:
        node = ready.pop()
        passed = _passed(node, arrived.get(node))
        for (follower, slot), gradient in zip(node.next_functions, passed, strict=True):
            if follower is None:
                continue
            if gradient is not None:
                _add(arrived, follower, slot, _fitting(gradient, follower._input_metadata[slot]))
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return arrived


def _callers(roots: Sequence[Any]) -> Counter[Any]:
    """How many edges of the graph lead to each node."""
    waiting: Counter[Any] = Counter()
    seen = set(roots)
    rest = list(seen)
    while rest:
        for follower, _ in rest.pop().next_functions:
            if follower is None:
                continue
            waiting[follower] += 1
            if follower not in seen:
                seen.add(follower)
                rest.append(follower)
    return waiting


def _passed(node: Any, slots: list[Tensor | None] | None) -> Sequence[Tensor | None]:
    """What a node passes on, one for each edge."""
    edges = len(node.next_functions)
    if hasattr(node, "variable") or slots is None or all(slot is None for slot in slots):
        return [None] * edges
    if not isinstance(node, torch.autograd.function.BackwardCFunction):
        passed = node(*slots)
        return passed if isinstance(passed, tuple) else (passed,)
    if getattr(node, "materializes", True):
        for place, metadata in enumerate(node._input_metadata):
            if slots[place] is None:
                slots[place] = torch.zeros(metadata.shape, dtype=metadata.dtype, device=metadata.device)
    passed = node.apply(*slots)
    passed = passed if isinstance(passed, tuple) else (passed,)
    # A function of Python gives a gradient for each argument, the edges are those of tensors.
    return [gradient for gradient, tensor in zip(passed, node.tensors, strict=False) if tensor]


def _add(arrived: Grads, node: Any, slot: int, gradient: Tensor) -> None:
    slots = arrived.setdefault(node, [None] * len(node._input_metadata))
    kept = slots[slot]
    slots[slot] = gradient if kept is None else kept + gradient


def _fitting(gradient: Tensor, metadata: Any) -> Tensor:
    """The gradient in the shape and type of what it belongs to, which the engine sees to as well."""
    if gradient.shape != torch.Size(metadata.shape):
        gradient = gradient.sum_to_size(metadata.shape)
    if gradient.dtype != metadata.dtype:
        gradient = gradient.to(metadata.dtype)
    if gradient.device != metadata.device:
        raise RuntimeError(f"a gradient on {gradient.device} for a tensor on {metadata.device}")
    return gradient


def _accumulate(leaf: Tensor, gradient: Tensor | None, create_graph: bool) -> None:
    if gradient is None:
        return
    for hook in (leaf._backward_hooks or {}).values():
        changed = hook(gradient)
        gradient = gradient if changed is None else changed
    if leaf.grad is not None:
        gradient = leaf.grad + gradient
    leaf.grad = gradient if create_graph else gradient.detach()
    for hook in (leaf._post_accumulate_grad_hooks or {}).values():
        hook(leaf)
