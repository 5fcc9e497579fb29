"""What fetching says when it fails."""

from ..errors import DownloadError
from ..manifest import Source

AGAIN = "run `sparsebench prepare` again; if it stays, the upstream file changed: pin the new one in data/manifest"


def failed(source: Source, reasons: list[str], advice: str) -> DownloadError:
    """One line: what could not be had, the first reasons, and what to do."""
    what = source.package or source.repository
    why = ", ".join(" ".join(reason.split()) for reason in reasons[:2]) or "no reason given"
    return DownloadError(f"cannot download {what} {source.version} for source {source.name!r}: {why}; {advice}")
