"""CPU seconds: they add up over a stop, and leave out what is paused."""

from time import process_time

from sparsebench.suites.molecules.pretraining.clock import ProcessSeconds


def burn(seconds: float) -> None:
    until = process_time() + seconds
    while process_time() < until:
        pass


def test_seconds_add_up_without_what_is_paused() -> None:
    clock = ProcessSeconds()
    burn(0.02)
    before = clock.seconds
    with clock.paused():
        burn(0.2)
    after = clock.seconds
    assert 0.02 <= before <= after < before + 0.1
    later = ProcessSeconds()
    later.load_state_dict(clock.state_dict())
    burn(0.02)
    assert after + 0.02 <= later.seconds < after + 0.12
