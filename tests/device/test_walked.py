"""The walk through the graph gives the gradients of torch's engine."""

import torch
from torch import Tensor

from . import walked


def graph(left: Tensor, right: Tensor) -> list[Tensor]:
    """Two outputs: a tensor that is used twice, one that is spread, and a part of one that counts for nothing."""
    shared = (left @ right).tanh()
    first, _ = shared.split([1, 2])
    return [(shared * shared.sum(0)).sum() + first.exp().sum(), shared.mean().double()]


def leaves() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in ((3, 4), (4, 2))]


def test_gradients_of_leaves_and_a_second_pass_adds_up() -> None:
    ours, theirs = leaves(), leaves()
    for _ in range(2):
        walked.backward(graph(*ours), [None, None])
        torch.autograd.backward(graph(*theirs))
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left.grad, right.grad)


def test_gradients_of_gradients() -> None:
    left, right = leaves()
    outputs = graph(left, right)
    unused = torch.ones(2, requires_grad=True)
    found = walked.grad(outputs[:1], [left, unused], [None], create_graph=True)
    (expected,) = torch.autograd.grad(outputs[0], left, create_graph=True)
    assert found[1] is None
    torch.testing.assert_close(found[0], expected)
    (second,) = walked.grad([found[0].square().sum()], [right], [None])
    torch.testing.assert_close(second, torch.autograd.grad(expected.square().sum(), right)[0])


def test_hooks_of_leaves_are_called() -> None:
    left, right = leaves()
    expected = torch.autograd.grad(graph(left, right), [left, right])
    left.register_hook(lambda gradient: gradient * 2)
    seen = []
    right.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad is not None))
    walked.backward(graph(left, right), [None, None])
    torch.testing.assert_close([left.grad, right.grad], [expected[0] * 2, expected[1]])
    assert seen == [True]
