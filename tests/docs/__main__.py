"""The documentation as a site: `python -m tests.docs FOLDER` writes pages, `--check FOLDER` looks into the built site.

`make docs` does both, and builds between them; the check ends with the public names without a place in the site.

No page is written by hand: they are the READMEs, docstrings, tested scripts and records.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from .api_pages import PACKAGE, api_pages, contract_names, missing, public_names
from .method_pages import method_pages
from .tree_pages import ROOT, tree_pages
from .tutorial_pages import tutorial_pages

SECTIONS = {
    "tutorials": "Tutorials",
    "guide": "Guides",
    "methods": "Methods",
    "results": "Results",
    "api": "API",
    "about": "About",
}
CONFIGURATION: dict[str, Any] = {
    "site_name": "sparsebench",
    "docs_dir": "pages",
    "site_dir": "site",
    "use_directory_urls": False,
    "theme": {
        "name": "material",
        "font": False,
        "features": ["navigation.indexes", "navigation.tabs", "content.code.copy", "toc.follow"],
        "palette": [
            {"media": f"(prefers-color-scheme: {scheme})", "scheme": name}
            for scheme, name in {"light": "default", "dark": "slate"}.items()
        ],
    },
    "validation": {"omitted_files": "warn", "absolute_links": "warn", "unrecognized_links": "warn", "anchors": "warn"},
    "markdown_extensions": [
        "admonition",
        "attr_list",
        "md_in_html",
        "pymdownx.highlight",
        "pymdownx.superfences",
        "tables",
        {"toc": {"permalink": True}},
    ],
    "plugins": [
        "search",
        {
            "mkdocstrings": {
                "enable_inventory": True,
                "handlers": {
                    "python": {
                        "paths": ["source"],
                        "options": {
                            "docstring_section_style": "list",
                            "filters": ["!^_"],
                            "heading_level": 2,
                            "members_order": "source",
                            "separate_signature": True,
                            "show_if_no_docstring": True,
                            "show_root_full_path": False,
                            "show_root_heading": True,
                            "show_signature_annotations": True,
                            "show_source": False,
                        },
                    }
                },
            }
        },
    ],
}


def write(folder: Path) -> None:
    """All pages and the configuration of the site."""
    if (folder / "mkdocs.yml").exists():  # of an earlier build
        shutil.rmtree(folder)
    pages = tree_pages() | tutorial_pages() | method_pages() | api_pages()
    for place, text in pages.items():
        target = folder / "pages" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (folder / "pages" / "pictures").mkdir()
    for picture in (ROOT / "reports").glob("*.svg"):
        shutil.copy(picture, folder / "pages" / "pictures")
    package = folder / "source" / PACKAGE
    package.mkdir(parents=True)
    for room in ("models", "data", "suites", "reports"):  # and nothing else of the tree is read
        (package / room).symlink_to(ROOT / room)
    nav: list[Any] = ["index.md"]
    for section, title in SECTIONS.items():
        places = [place for place in pages if place.startswith(f"{section}/")]
        nav.append({title: sorted(places, key=lambda place: not place.endswith("/index.md"))})
    text = yaml.safe_dump(CONFIGURATION | {"nav": nav}, sort_keys=False)
    (folder / "mkdocs.yml").write_text(text, encoding="utf-8")


def check(folder: Path) -> None:
    """End with the names that have no place in the built site, or say how many there are."""
    lost = missing(folder / "site")
    if lost:
        sys.exit("the site has no place for " + ", ".join(lost))
    counted = f"{len(public_names())} public names of models/ and {len(list(contract_names()))} of the contracts"
    sys.stdout.write(f"{folder / 'site' / 'index.html'}: {counted} have their place\n")


if __name__ == "__main__":
    *flags, place = sys.argv[1:]
    (check if flags == ["--check"] else write)(Path(place))
