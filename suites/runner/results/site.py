"""`report --site`: a page for each result folder and a front page over them, as files that any static host serves."""

from collections.abc import Sequence
from pathlib import Path

from sparsebench.reports.page.html import render_site, unpack
from sparsebench.reports.records.files import write_all
from sparsebench.reports.records.store import StoreError, stores_in

from ..errors import UsageError
from .summary import write_report
from .write_results import is_collection


def write_site(folders: Sequence[Path], out: Path) -> Path:
    """Write the site of result folders, or of folders of such, and return the path of its front page.

    Args:
        folders: result folders and folders of result folders.
        out: where to; made if it is missing.

    Raises:
        StoreError: a folder without results, or `out` cannot be written.
        UsageError: two folders of one name, which would be one page.
    """
    stores: list[Path] = []
    for folder in folders:
        stores += stores_in(folder) if is_collection(folder) else [folder]
    names = [store.resolve().name for store in stores]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two result folders are called {name}: a site has a page for each name")
    studies = {}
    for name, store in zip(names, stores, strict=True):
        page = write_report([store], out / name).page
        studies[name] = unpack(page.read_text(encoding="utf-8"))
    title = folders[0].resolve().name if len(folders) == 1 else "results"
    try:
        write_all(out, {"index.html": render_site(title, studies)})
    except OSError as error:
        raise StoreError(f"the site cannot be written to {out}: {error.strerror or error}") from error
    return out / "index.html"
