"""Measure all rows and write the table of parity: `python -m tests.models.parity`."""

import sys

from .measuring import measure
from .rows import rows
from .table import TABLE, engines, problems, rendered


def main() -> int:
    """The status: 1 if anything exceeds what is allowed, fails, or is not there."""
    asked = rows()
    measured = measure(asked)
    TABLE.write_text(rendered(asked, measured, engines()), encoding="utf-8")
    found = problems(asked, measured, engines())
    for line in found:
        sys.stderr.write(f"{line}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
