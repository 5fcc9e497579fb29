import numpy as np

from sparsebench.data.mixtures.row_order import random_words, row_order


def test_any_part_of_the_stream_is_the_same():
    words = random_words("a key", 0, 50)
    for start, count in [(0, 1), (3, 10), (4, 4), (49, 1), (17, 0)]:
        assert np.array_equal(random_words("a key", start, count), words[start : start + count])


def test_the_stream_is_what_it_always_was():
    """Draws of committed studies hang on these numbers."""
    assert random_words("a key", 0, 2).tolist() == [3323153044250508774, 10614408112263655110]
    assert random_words("a key", 10**12, 1).tolist() == [8393967632280314675]


def test_other_keys_have_other_numbers():
    assert not set(random_words("a", 0, 100).tolist()) & set(random_words("b", 0, 100).tolist())


def test_each_pass_takes_every_row_once_in_an_order_of_its_own():
    orders = [row_order(0, "code", 100, epoch).tolist() for epoch in range(3)]
    for order in orders:
        assert sorted(order) == list(range(100))
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert row_order(0, "math", 100, 0).tolist() != orders[0]
    assert row_order(1, "code", 100, 0).tolist() != orders[0]
