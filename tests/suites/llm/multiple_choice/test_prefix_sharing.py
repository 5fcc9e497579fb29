"""Texts that share their beginning in one sequence."""

import pytest

from sparsebench.suites.llm.multiple_choice.prefix_sharing import Pack, packs


def test_branches_see_their_context_and_themselves_only() -> None:
    pack = Pack()
    pack.add([10, 11], [(0, [20, 21]), (1, [30, 31, 32])])
    pack.add([40], [(2, [50])])
    assert pack.ids == [10, 11, 20, 30, 31, 40]
    assert pack.position == [0, 1, 2, 2, 3, 0]
    assert pack.keep == [1, 2, 1, 3, 4, 5]
    assert pack.mask().int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_packs_hold_every_request_once_and_do_not_overflow() -> None:
    requests = [(("", ""), [context] * 90, [7] * 30) for context in range(5) for _ in range(2)]
    made = list(packs(requests, 1000))
    assert sorted(number for pack in made for number, _ in pack.continuations) == list(range(10))
    assert max(len(pack.ids) for pack in made) <= 256
    with pytest.raises(ValueError, match="120 tokens"):
        list(packs(requests, 100))
