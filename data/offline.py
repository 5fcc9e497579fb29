"""Whether anything may be fetched."""

import os


def offline() -> bool:
    """Whether ``SPARSEBENCH_OFFLINE`` forbids to fetch anything: it is set, and not to 0."""
    return os.environ.get("SPARSEBENCH_OFFLINE", "") not in ("", "0")
