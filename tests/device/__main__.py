"""The device audit: `make device-audit`, in an environment with a build of torch for CUDA; needs no GPU."""

import json
import logging
import sys
from collections.abc import Iterator

import torch

from sparsebench.suites.runner.execution.isolation.preload import warm_up

from .cells import Found, cases_of, in_cell, in_function
from .functions import CASES
from .kernels import measured
from .table import PAGE, STORE, as_json, problems, rendered

TYPES = (torch.float32, torch.bfloat16)


def cases() -> Iterator[tuple[str, Found]]:
    """Title and findings of each case, one after another."""
    for name, case in CASES.items():
        for dtype in TYPES:
            yield f"{name}, {str(dtype).removeprefix('torch.')}", in_function(case, dtype)
    cells = dict(cases_of("smoke"))
    warm_up(list(cells.values()), lambda: True)
    for title, info in cells.items():
        yield title, in_cell(info)


def main() -> int:
    """The status: 1 if a case ended in an error or with another score."""
    if torch.version.cuda is None:
        sys.stderr.write(
            "this is a build of torch for the CPU: `make device-audit` makes an environment with the other\n"
        )
        return 1
    torch.set_num_threads(1)
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # errors of rules are in the table
    found = {}
    for title, one in cases():
        found[title] = one
        sys.stderr.write(f"{title}: {one.error or 'ok'}\n")
    audit = as_json(found, {what: measured(what) for what in ("interpret", "compile")})
    STORE.write_text(json.dumps(audit, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(rendered(audit), encoding="utf-8")
    for line in problems(audit):
        sys.stderr.write(f"{line}\n")
    return int(bool(problems(audit)))


if __name__ == "__main__":
    sys.exit(main())
