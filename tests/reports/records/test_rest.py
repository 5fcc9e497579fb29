"""What a record says of rest: it comes back as it was written, and what makes no sense is refused."""

import pytest

from sparsebench.reports.records.record import RecordError
from sparsebench.reports.records.rest import Rest, Trained, from_details, to_details


def rest(*lengths: int) -> Rest:
    trained = tuple(Trained(length=length, score=0.5, seconds=0.1, flops=3) for length in lengths)
    return Rest(metric="accuracy", unit="epochs", margin=0.01, rested=True, trainings=trained)


def test_what_is_written_comes_back() -> None:
    assert from_details(to_details(rest(2, 4, 8))) == rest(2, 4, 8)


@pytest.mark.parametrize("lengths", [(), (2, 2), (4, 2)])
def test_lengths_that_do_not_grow_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(RecordError, match="no series of growing ones"):
        rest(*lengths)
