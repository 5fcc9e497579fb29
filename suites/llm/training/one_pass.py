"""Training data that end before the budget does are an error, unless a method was asked to repeat them."""

from ...contracts.budget import Budget
from ...contracts.context import Context
from ...training.callbacks import Callback, TrainingState
from .data import TextRows


class OnePass(Callback):
    """Ends a training with a ValueError where a second pass would begin that nobody asked for."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def on_epoch(self, state: TrainingState) -> None:
        """A budget in epochs asks for passes; any other is still open when an epoch ends, which raises ValueError."""
        unit, amount = self.budget.duration
        if unit != "epochs":
            raise ValueError(ran_dry(f"{state.step} steps and {state.tokens} tokens", amount, unit))


def check_enough(data: TextRows, context: Context, accumulation: int) -> None:
    """Raise ValueError, before anything trains, where one pass over the data is less than a budget in steps or tokens.

    What is dropped at the end of a pass, at most a step, counts as there: `OnePass` meets that.
    """
    unit, amount = context.budget.duration
    if unit == "steps":
        there = len(data.train) // (context.budget.batch_size * accumulation)
    elif unit == "tokens":
        there = sum(len(row) for row in data.train)
    else:
        return
    if there < amount:
        raise ValueError(ran_dry(f"{there} {unit}", amount, unit))


def ran_dry(there: str, amount: int, unit: str) -> str:
    """The words for it."""
    return (
        f"the training data end after {there}, before the {amount} {unit} of the budget: take a smaller budget, more "
        "text, or repeat: true for another pass over the same data"
    )
