"""What the system says of the processor; on Linux alone."""

from collections.abc import Mapping
from pathlib import Path

FILE = Path("/proc/cpuinfo")


def facts() -> Mapping[str, str]:
    """Of the first processor, by the names that the system has. Raises OSError where it says nothing."""
    first = FILE.read_text(encoding="utf-8").partition("\n\n")[0]
    pairs = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}
