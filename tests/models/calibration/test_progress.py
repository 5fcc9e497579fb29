"""Who listens hears of every block that a pass has done; nobody else does."""

from sparsebench.models.calibration.by_block import by_block
from sparsebench.models.calibration.progress import listening, tell

from ..compression.slimming.mixtures import batches, mixture


def test_a_pass_is_heard() -> None:
    model = mixture("mixtral")
    heard: list[tuple[int, int]] = []
    with listening(lambda done, total: heard.append((done, total))):
        list(by_block(model, batches(1)))
    tell(1, 1)
    count = heard[-1][1]
    assert count > 1 and heard == [(number, count) for number in range(1, count + 1)]
