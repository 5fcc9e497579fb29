import json
from itertools import islice

import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.stream import MixtureStream

ROWS = {"code": [f"code {row}" for row in range(40)], "math": [f"math {row}" for row in range(9)]}
WEIGHTS = {"code": 0.6, "math": 0.4}
LATER = {"code": 0.1, "math": 0.9}


def stream(batch_size=4, **options):
    return MixtureStream(ROWS, WEIGHTS, batch_size=batch_size, collate=tuple, seed=0, **options)


def test_batches_hold_the_rows_of_their_draws():
    mixed = stream()
    drawn = stream().draws.take(0, 12)
    expected = [tuple(ROWS[name][row] for name, row in drawn[start : start + 4]) for start in (0, 4, 8)]
    assert list(islice(mixed, 3)) == expected
    assert sum(mixed.counts().values()) == 12


def test_weights_change_at_the_next_batch():
    mixed = stream()
    before = list(islice(mixed, 5))
    mixed.set_weights(LATER)
    assert mixed.draws.history[-1][0] == 20
    assert before == list(islice(stream(), 5))
    assert sum(example.startswith("math") for batch in islice(mixed, 50) for example in batch) > 150


def test_a_state_goes_on_with_the_next_batch():
    first = stream()
    list(islice(first, 3))
    first.set_weights(LATER)
    list(islice(first, 2))
    state = json.loads(json.dumps(first.state_dict()))
    again = stream()
    again.load_state_dict(state)
    assert list(islice(again, 10)) == list(islice(first, 10))
    assert again.weights == first.weights == LATER


def test_examples_come_in_one_order_whatever_the_batches():
    small = [example for batch in islice(stream(2), 30) for example in batch]
    large = [example for batch in islice(stream(12), 5) for example in batch]
    assert small == large


@pytest.mark.parametrize("batch_size", [0, -3])
def test_no_empty_batches(batch_size):
    with pytest.raises(MixtureError, match="give at least 1"):
        stream(batch_size)


def test_what_the_draws_depend_on():
    assert stream(4).fingerprint() != stream(8).fingerprint()
    assert stream().fingerprint() == stream().fingerprint()
