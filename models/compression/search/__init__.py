"""Recipes under a budget: how many experts, how wide, at how many bits, and which layers stay, block by block.

`options` lists what may become of a mixture, `trials` makes such a mixture, `prices` says what it costs, `damage` what
it does to the model, `knapsack` chooses, and `recipe` applies the choice; `searching` does all of it.
"""

from .budget import Budget
from .knapsack import Solution, solve
from .options import Option, SearchSpace, options_of
from .recipe import Decision, Recipe
from .searching import SearchConfig, search

__all__ = [
    "Budget",
    "Decision",
    "Option",
    "Recipe",
    "SearchConfig",
    "SearchSpace",
    "Solution",
    "options_of",
    "search",
    "solve",
]
