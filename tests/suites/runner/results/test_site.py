"""A site: a page for each result folder and a front page that links them."""

import shutil
from pathlib import Path

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.results.site import write_site

from .test_write_results import collection as collection


def test_each_folder_has_a_page_and_the_front_links_it(collection: Path, tmp_path: Path) -> None:
    front = write_site([collection], tmp_path / "site")
    page = tmp_path / "site" / "smoke" / "index.html"
    assert front == tmp_path / "site" / "index.html"
    assert 'href="smoke/index.html"' in front.read_text()
    assert unpack(page.read_text())["title"] == "smoke"
    shutil.copytree(collection / "smoke", tmp_path / "other" / "smoke")
    with pytest.raises(UsageError, match="two result folders are called smoke"):
        write_site([collection, tmp_path / "other" / "smoke"], tmp_path / "again")
    assert not (tmp_path / "again").exists()
