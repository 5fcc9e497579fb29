"""Add four numbers, and write a line into a log when that is done."""

import dataclasses
import os
import secrets
from pathlib import Path

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.metrics import Scores

from .state_sum import Adder, StateSum

NAME_BYTES = 8


class LoggedSum(StateSum):
    """Each execution has a name, which is in the log and in the details of its record."""

    def evaluate(self, subject: Adder, context: Context) -> Scores:
        """Evaluate once."""
        scores = super().evaluate(subject, context)
        execution = secrets.token_hex(NAME_BYTES)
        with Path(os.environ["FAULTY_LOG"]).open("a") as log:
            log.write(f"{context.seed} {execution}\n")
        return dataclasses.replace(scores, details={"execution": execution})
