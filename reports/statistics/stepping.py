"""Holm's procedure over what decides by intervals: the level rises with each hypothesis that has fallen."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def holm(decides: Sequence[Callable[[float], bool]], alpha: float) -> dict[int, float]:
    """Which of several hypotheses fall, so that the chance of a false one among them is at most `alpha`.

    The step-down procedure of Holm (1979, Scandinavian Journal of Statistics 6), written with levels instead of
    p-values: of m hypotheses, those that fall at alpha / m do; with r fallen the others are asked at alpha / (m - r),
    until none falls any more.

    Args:
        decides: of each hypothesis, whether it falls at a level; who falls at one level must fall at every higher one.
        alpha: the level of all together.

    Returns:
        The numbers of those that fall, each with the level at which it did.

    Example:
        >>> levels = [0.001, 0.03, 0.2]
        >>> sorted(holm([lambda level, p=p: p < level for p in levels], 0.05))
        [0]
    """
    fallen: dict[int, float] = {}
    while len(fallen) < len(decides):
        level = alpha / (len(decides) - len(fallen))
        new = [number for number, falls in enumerate(decides) if number not in fallen and falls(level)]
        if not new:
            break
        fallen |= dict.fromkeys(new, level)
    return fallen
