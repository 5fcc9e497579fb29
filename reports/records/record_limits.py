"""Which numbers a record takes, so that everything made of them stays finite."""

LARGEST = 1e100
"""Scores, costs and times are smaller: their squares can still be added up."""
MOST = 2**63
"""Counts are smaller, so that every reader has room for them."""


class RecordError(ValueError):
    """A record that cannot be trusted: a number that is not finite, an unknown key, a missing reason."""


def is_finite(number: float) -> bool:
    """Whether a number can be reckoned with."""
    return -LARGEST < number < LARGEST


def finite(where: str, **numbers: float | None) -> None:
    """Refuse numbers that cannot be reckoned with.

    Args:
        where: begins the message.
        numbers: by name; None passes.

    Raises:
        RecordError: one is not finite, or so large that its square is not.
    """
    for name, number in numbers.items():
        if number is not None and not is_finite(number):
            raise RecordError(f"{where}: {name} is {_short(number)}; records hold finite numbers below {LARGEST:g}")


def counts(where: str, **numbers: int | None) -> None:
    """Refuse whole numbers that count nothing.

    Args:
        where: begins the message.
        numbers: by name; None passes.

    Raises:
        RecordError: one is below 0, or beyond what a machine counts to.
    """
    for name, number in numbers.items():
        if number is not None and not 0 <= number < MOST:
            raise RecordError(f"{where}: {name} is {_short(number)}; a count lies between 0 and 2^63")


def _short(number: float) -> str:
    if isinstance(number, int) and abs(number) > MOST:  # Python refuses to write out thousands of digits
        return f"a whole number of {number.bit_length()} bits"
    return str(number)
