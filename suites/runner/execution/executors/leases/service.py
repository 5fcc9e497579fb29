"""A process that serves a run whose cells it is given, and ends when they have ended: what a job of a cluster does."""

import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsebench.reports.records.store import StoreError

from ....errors import ExecutorError, UsageError
from ....identity.agreement import differences
from ....identity.cell import Cell
from ...locks import shared_run
from ..interface import Options
from .description import plan_lines
from .executor import LeaseExecutor
from .membership import joined

TICK_SECONDS = 1.0
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """Called without arguments on any machine that sees the result folder.

    `plan` is that of the process that made the cells, and `lines` what its machine has behind them (`plan_lines`).
    """

    folder: Path
    options: Options
    cells: Sequence[Cell]
    plan: Mapping[str, Any]
    lines: Sequence[str]

    def __call__(self) -> Exception | None:
        """Take cells until all have ended; gives what ended it before that, None if nothing did.

        What people should read in one line is given and not raised, since submitit would make a page of it.
        """
        try:
            self._serve()
        except (UsageError, ExecutorError, StoreError) as error:
            return error
        return None

    def _serve(self) -> None:
        self._check()
        with (
            shared_run(self.folder, LOGGER.warning),
            joined(self.folder, self.plan, self.options.lease) as membership,
            LeaseExecutor(self.folder, self.options, membership) as executor,
        ):
            executor.submit(self.cells)
            while executor.has_work:
                executor.events(TICK_SECONDS)

    def checkpoint(self) -> Any:
        """Asked by submitit when the job's time is up or it is pre-empted: the same again in a new job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _check(self) -> None:
        here = plan_lines(self.cells)
        if here != self.lines:
            raise UsageError(
                f"{socket.gethostname()} is not used, since it has other code, data or libraries than "
                f"the machine that submitted it: {differences(here, self.lines)}"
            )
