import json

import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.reference_loss import ReferenceLoss
from sparsebench.data.mixtures.strategies.static import Uniform

NAMES = ("code", "math", "chat")
REFERENCE = {"code": 1.0, "math": 1.5, "chat": 2.0}


def mixing(**options):
    return ReferenceLoss(NAMES, REFERENCE, **options)


def signal(step):
    return Signal(losses={"code": 1.3 - step / 100, "math": 1.4, "chat": 2.1}, steps=step)


def test_the_log_starts_with_the_start_and_gets_an_entry_by_round():
    strategy = mixing()
    after = strategy.update(signal(10))
    assert strategy.rounds[0] == {"steps": 0, "weights": dict.fromkeys(NAMES, 1 / 3)}
    (entry,) = strategy.rounds[1:]
    assert entry is strategy.seen
    assert (entry["steps"], entry["weights"], entry["losses"]) == (10, after, dict(signal(10).losses or {}))
    assert entry["deltas"] == {"code": pytest.approx(0.2), "math": pytest.approx(-0.1), "chat": pytest.approx(0.1)}
    assert json.loads(json.dumps(strategy.rounds)) == strategy.rounds


def test_weights_that_never_move_log_what_is_measured_too():
    strategy = Uniform(NAMES)
    strategy.update(Signal(losses=REFERENCE, loads={name: [[1, 3]] for name in NAMES}, steps=5))  # pyright: ignore[reportArgumentType]
    assert strategy.seen["losses"] == REFERENCE
    assert strategy.seen["loads"] == {name: [[0.25, 0.75]] for name in NAMES}


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (Uniform(NAMES), "kind"),
        (ReferenceLoss(NAMES[:2], {"code": 1.0, "math": 1.5}), "names"),
        (mixing(eta=2.0), "settings"),
    ],
)
def test_a_state_of_another_mixture(other, key):
    with pytest.raises(MixtureError, match=f"with {key}"):
        mixing().load_state_dict(other.state_dict())


def test_a_state_is_not_changed_by_going_on():
    strategy = mixing()
    state = strategy.state_dict()
    strategy.update(signal(10))
    assert len(state["rounds"]) == 1


def test_a_bad_signal_changes_nothing():
    strategy = mixing()
    with pytest.raises(MixtureError, match="needs losses"):
        strategy.update(Signal(steps=3))
    assert len(strategy.rounds) == 1
