"""What a record says of an error or a warning. Exceptions of plug-ins may hold any text, or none that can be had."""

import resource
import traceback as tracebacks
import warnings
from collections.abc import Sequence

from sparsebench.models.anatomy import UnknownAnatomy
from sparsebench.reports.records.record import Status

from ...contracts.method import NotApplicable
from ..discovery.installed import lacking_file
from ..discovery.own_frames import own_place

MEMORY_MESSAGES = ("can't allocate memory", "out of memory", "std::bad_alloc", "cannot allocate memory")
NO_PRIMITIVE = "could not create a primitive"
"""What oneDNN says where it gets no memory, and of a product that it does not have, which torch asks before."""
LONGEST = 300
"""Characters of a reason or a warning."""
LONGEST_TRACE = 20_000
KEPT_WARNINGS = 20


def explain(error: BaseException) -> tuple[Status, str]:
    """Status and one-line reason of an exception; that of an error in a user's own file ends with the line there."""
    text = one_line(error)
    kind = type(error).__name__
    if isinstance(error, NotApplicable | UnknownAnatomy):
        return "n/a", text or kind
    if isinstance(error, MemoryError) or _is_of_memory(text.lower()):
        return "oom", f"out of memory: {text or kind}"[:LONGEST]
    said = lacking_file(error) if isinstance(error, OSError) else None
    if said is not None:
        return "failed", said
    # What leaves a process (SystemExit) says all there is to say; an error asks for its place.
    place = own_place(error) if isinstance(error, Exception) else ""
    return "failed", f"{kind}: {text or kind}"[: LONGEST - len(place)] + place


def _is_of_memory(text: str) -> bool:
    return any(part in text for part in MEMORY_MESSAGES) or (NO_PRIMITIVE in text and _is_bounded())


def _is_bounded() -> bool:
    """Whether this process may have only so much memory."""
    return resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY


def trace_of(error: BaseException) -> str:
    """The traceback; of a very long one (a message as long as a book) its end."""
    return printable("".join(tracebacks.format_exception(error)))[-LONGEST_TRACE:]


def warning_lines(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """The different warnings, each in one line, the first of them."""
    lines = dict.fromkeys(f"{one.category.__name__}: {one_line(one.message)}"[:LONGEST] for one in caught)
    return list(lines)[:KEPT_WARNINGS]


def one_line(error: object) -> str:
    """The text of an exception or a warning in one line that can be written; empty if it has none."""
    try:
        text = str(error)
    except Exception as broken:  # `__str__` of somebody else's class: it may do anything
        text = f"its text cannot be had ({type(broken).__name__})"
    return " ".join(printable(text).split())[:LONGEST]


def printable(text: str) -> str:
    """The text with half characters (lone surrogates), which no file can hold, as `\\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
