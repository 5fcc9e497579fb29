"""Calls of blocks, captured and repeated."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from sparsebench.models.anatomy import Block, Site, describe
from sparsebench.models.calibration.block_calls import BlockCall, capture_chain, first_argument, hidden_of
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]


class Adds(nn.Module):
    """A block that counts its calls."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.calls = 0

    def forward(self, x: Tensor, more: Any = None) -> Any:
        self.calls += 1
        return x + self.value


class Pair(Adds):
    def forward(self, x: Tensor, more: Any = None) -> Any:
        return super().forward(x), "more"


class Row(nn.Module):
    """Blocks in a row; after the block `between`, its output is written to, or copied."""

    def __init__(
        self, *blocks: Adds, between: int | None = None, in_place: bool = False, keyword: bool = False
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.between = between
        self.in_place = in_place
        self.keyword = keyword

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate(self.blocks):
            more = ["mask", DynamicCache()]
            x = block(x=x, more=more[index % 2]) if self.keyword else block(x, more[index % 2])
            x = x[0] if isinstance(x, tuple) else x
            if index == self.between:
                x = x.mul_(2) if self.in_place else x * 2
        raise AssertionError("the rest of a model is not run")


def blocks_of(model: Row) -> list[Block]:
    return [Block(index=index, site=Site(model.blocks, str(index))) for index in range(len(model.blocks))]


BATCHES = [torch.zeros(1, 2), torch.ones(3, 2), torch.full((1, 2), 5.0)]


def counted(model: Row) -> list[Any]:
    return [block.calls for block in model.blocks]


@pytest.mark.parametrize("keyword", [False, True])
def test_only_the_first_batch_runs(keyword: bool) -> None:
    model = Row(Adds(1), Adds(2), Adds(3), keyword=keyword)
    chain = capture_chain(model, blocks_of(model), BATCHES, 0)
    assert (chain.first, chain.end) == (0, 3) and counted(model) == [1, 1, 0]
    assert all(torch.equal(x, batch) for x, batch in zip(chain.hidden, BATCHES, strict=True))
    assert [len(calls) for calls in chain.calls] == [3, 3, 3]
    args, kwargs = chain.calls[0][1].with_hidden(BATCHES[1])
    given = {"x": BATCHES[1], "more": "mask"}
    if keyword:
        assert not args and kwargs.keys() == given.keys() and kwargs["x"] is BATCHES[1]
    else:
        assert args[0] is BATCHES[1] and args[1:] == ("mask",) and not kwargs
    # A cache would grow with each call.
    assert chain.calls[1][0] == (BlockCall((), {"more": None}, "x") if keyword else BlockCall((None,), {}))
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in model.blocks)
    assert not any("forward" in vars(block) for block in model.blocks)


def test_what_comes_before_the_chain_runs() -> None:
    model = Row(Adds(1), Adds(2), Adds(3))
    chain = capture_chain(model, blocks_of(model), BATCHES, 1)
    assert (chain.first, chain.end) == (1, 3) and counted(model) == [3, 1, 0]
    assert all(torch.equal(x, batch + 1) for x, batch in zip(chain.hidden, BATCHES, strict=True))


@pytest.mark.parametrize("in_place", [False, True])
def test_a_chain_ends_where_something_lies_between_two_blocks(in_place: bool) -> None:
    model = Row(Adds(1), Adds(2), Adds(3), between=1, in_place=in_place)
    chain = capture_chain(model, blocks_of(model), BATCHES, 0)
    assert (chain.first, chain.end) == (0, 2) and counted(model) == [1, 1, 0]
    chain = capture_chain(model, blocks_of(model), BATCHES, 2)
    assert (chain.first, chain.end) == (2, 3)
    assert all(torch.equal(x, (batch + 3) * 2) for x, batch in zip(chain.hidden, BATCHES, strict=True))


def test_blocks_that_return_more_than_a_hidden_state_run_with_all_batches() -> None:
    model = Row(Adds(1), Pair(2), Adds(3))
    assert capture_chain(model, blocks_of(model), BATCHES, 0).end == 3
    assert counted(model) == [3, 3, 0]


def test_a_forward_of_its_own_on_a_block_comes_back() -> None:
    model = Row(Adds(1), Adds(2))
    own = model.blocks[0].forward
    vars(model.blocks[0])["forward"] = own
    capture_chain(model, blocks_of(model), BATCHES, 0)
    assert vars(model.blocks[0])["forward"] is own and "forward" not in vars(model.blocks[1])


class Odd(Row):
    """Calls its second block only for inputs of one row."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks[0](x)
        return self.blocks[1](x) if len(x) == 1 else x


def test_blocks_that_are_not_called_one_after_the_other_are_refused() -> None:
    model = Odd(Adds(1), Adds(2))
    with pytest.raises(ModelError, match=r"Odd does not call 1 after the block before it in batch 1"):
        capture_chain(model, blocks_of(model), BATCHES, 0)
    backwards = blocks_of(model)[::-1]
    with pytest.raises(ModelError, match="does not call 1 "):
        capture_chain(model, backwards, BATCHES, 0)
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in model.blocks)


def test_a_batch_with_a_cache_is_refused(build: Build) -> None:
    model = build("llama")
    batch = {"input_ids": torch.ones(1, 3, dtype=torch.long), "past_key_values": DynamicCache()}
    with pytest.raises(ModelError, match="brings a cache of earlier tokens"):
        capture_chain(model, describe(model).blocks, [batch], 0)


def test_hidden_states_of_outputs() -> None:
    x = torch.ones(1)
    assert hidden_of(x) is x and hidden_of((x, "bias")) is x
    with pytest.raises(ModelError, match="a block returned a str"):
        hidden_of(("x",))


def test_the_first_argument_is_that_of_the_class() -> None:
    block = Adds(1)
    vars(block)["forward"] = lambda *args: None
    assert first_argument(block) == "x"
