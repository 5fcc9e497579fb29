"""The device audit: `make device-audit`, in an environment with a build of torch for CUDA; needs no GPU."""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from sparsebench.suites.runner.execution.isolation.preload import warm_up

from .cells import Found, cases_of, in_cell, in_function
from .functions import CASES
from .table import PAGE, STORE, as_json, problems, rendered

TYPES = (torch.float32, torch.bfloat16)


def cases() -> dict[str, Callable[[], Found]]:
    """Title and work of each case."""
    works: dict[str, Callable[[], Found]] = {}
    for name, case in CASES.items():
        for dtype in TYPES:
            works[f"{name}, {str(dtype).removeprefix('torch.')}"] = partial(in_function, case, dtype)
    cells = dict(cases_of("smoke"))
    warm_up(list(cells.values()), lambda: True)  # once, not in each process that is forked from this one
    for title, info in cells.items():
        works[title] = partial(in_cell, info)
    return works


def found_by(works: Mapping[str, Callable[[], Found]]) -> dict[str, Found]:
    """Do all, as many at a time as there are cores; each is in processes of its own, a thread waits for it."""

    def do(title: str) -> Found:
        found = works[title]()
        sys.stderr.write(f"{title}: {found.error or 'ok'}\n")
        return found

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(works, threads.map(do, works), strict=True))


def main() -> int:
    """The status: 1 if a case ended in an error or with another score."""
    if torch.version.cuda is None:
        sys.stderr.write(
            "this is a build of torch for the CPU: `make device-audit` makes an environment with the other\n"
        )
        return 1
    from .kernels import measured  # asks for Triton, which the other build does not bring

    torch.set_num_threads(1)
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # errors of rules are in the table
    audit = as_json(found_by(cases()), {what: measured(what) for what in ("interpret", "compile")})
    STORE.write_text(json.dumps(audit, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(rendered(audit), encoding="utf-8")
    for line in problems(audit):
        sys.stderr.write(f"{line}\n")
    return int(bool(problems(audit)))


if __name__ == "__main__":
    sys.exit(main())
