"""How many of a finite population can be unequal, when so many were drawn at random and looked at.

The draws are without replacement, so that the distribution is hypergeometric. All of it is reckoned exactly.
"""

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from math import comb

ONE_IN = 20
"""One minus the level of the bound: 95 %."""


def unequal_at_most(population: int, drawn: int, unequal: int = 0) -> int:
    """The 95 % upper bound for the number of unequal members of a population.

    The largest D under which drawing no more than `unequal` of them still has a probability of 1/20 or more.

    Args:
        population: N, how many there are.
        drawn: n of them, drawn at random without replacement.
        unequal: how many of the drawn are unequal.
    """
    ways = comb(population, drawn)

    def is_rare(number: int) -> bool:
        return ONE_IN * _ways(population, drawn, unequal, number) < ways

    # The probability falls with D.
    return bisect_left(range(population - (drawn - unequal) + 1), True, lo=unequal, key=is_rare) - 1


def _ways(population: int, drawn: int, most: int, unequal: int) -> int:
    """In how many samples there are `most` or fewer of the unequal."""
    found = 0
    for number in range(min(most, unequal, drawn) + 1):
        found += comb(unequal, number) * comb(population - unequal, drawn - number)
    return found


def unequal_in_strata_at_most(strata: Sequence[tuple[int, int]]) -> int:
    """The 95 % upper bound over several populations (N, n) together, none of whose drawn members is unequal.

    The largest D that some spread over the populations would hide with a probability of 1/20 or more. Hiding one more
    costs a factor (N - n - d) / (N - d) where d are hidden already. It falls with d, so that the spread that hides the
    most takes the largest factor each time.
    """
    hidden = [0] * len(strata)
    probability = Fraction(1)
    while True:
        factors = [_factor(stratum, d) for stratum, d in zip(strata, hidden, strict=True)]
        probability *= max(factors, default=Fraction(0))
        if ONE_IN * probability < 1:
            return sum(hidden)
        hidden[factors.index(max(factors))] += 1


def _factor(stratum: tuple[int, int], hidden: int) -> Fraction:
    """What hiding one more member costs; 0 where all are drawn or hidden already."""
    population, drawn = stratum
    if population <= drawn + hidden:
        return Fraction(0)
    return Fraction(population - drawn - hidden, population - hidden)
