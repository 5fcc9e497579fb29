"""A page of ten thousand rows: `python -m tests.reports.page.large_page OUT`."""

import sys
from pathlib import Path

from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.tables.suite_table import SuiteInfo

from ..make_records import grid

ROWS = 10_000

if __name__ == "__main__":
    info = SuiteInfo(title="Vision", description="", baseline="method 00", unit="image")
    render(Reading(records=grid(ROWS, 1, 1)), Path(sys.argv[1]), {"vtab": info})
