"""Calibration data that are too few to say much: of so many inputs, second moments want as many tokens and more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

LEAST = 0.25
"""Tokens for each input of a linear map below which a warning names it. Second moments of so few have a rank of at most
a quarter of the inputs: what is ranked or rounded by them may be worse than what looks at no data."""
NAMED = 3


class ScarceCalibrationWarning(UserWarning):
    """Some linear map was given too few calibration tokens."""


def is_scarce(tokens: int, inputs: int) -> bool:
    """Whether so many tokens are too few for a map of so many inputs."""
    return tokens < LEAST * inputs


def warn_scarce(found: Sequence[tuple[str, int, int]]) -> None:
    """Warn of maps by name, tokens and inputs; of none, nothing."""
    if not found:
        return
    some = [f"{name} ({tokens} for {inputs})" for name, tokens, inputs in found[:NAMED]]
    if len(found) > NAMED:
        some.append(f"and {len(found) - NAMED} more")
    warnings.warn(
        f"fewer calibration tokens than a quarter of the inputs reached {', '.join(some)}: pass more or longer texts, "
        "or leave it to a method that looks at no data",
        ScarceCalibrationWarning,
        stacklevel=4,
    )
