"""Pages that are files of the tree: where each stands in the site, and links from one to another."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUDIES = "reports/results"
NEWCOMERS = "tests/newcomers"
"""The scripts and notebooks there are the tutorials (`tutorial_pages.py`)."""
PAGES: Mapping[str, str] = {
    "README.md": "index.md",
    "models/README.md": "guide/models.md",
    "models/adapters/README.md": "guide/adapters.md",
    "models/graphsgpt/README.md": "guide/graphsgpt.md",
    "suites/README.md": "guide/suites.md",
    "data/README.md": "guide/data.md",
    "reports/README.md": "guide/reports.md",
    "suites/runner/execution/executors/README.md": "guide/clusters.md",
    "reports/RESULTS.md": "results/index.md",
    "ARCHITECTURE.md": "about/architecture.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "CHANGELOG.md": "about/changelog.md",
    "LICENCES.md": "about/licences.md",
    "SECURITY.md": "about/security.md",
    "RELEASING.md": "about/releasing.md",
    f"{NEWCOMERS}/README.md": "tutorials/index.md",
}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)")
PICTURE = re.compile(r'(src|srcset)="([\w/-]+\.svg)"')


def studies() -> Mapping[str, str]:
    """Names of the studies that judged claims, and their pages."""
    found = sorted((ROOT / STUDIES).glob("*/claims.md"))
    return {path.parent.name: f"results/{path.parent.name}.md" for path in found}


def place_of(path: str) -> str | None:
    """The page of a file or folder of the tree; None if it has none."""
    if path in PAGES:
        return PAGES[path]
    if f"{path}/README.md" in PAGES:
        return PAGES[f"{path}/README.md"]
    if path.startswith(f"{NEWCOMERS}/"):
        return f"tutorials/{Path(path).stem}.md"
    return studies().get(path.removeprefix(f"{STUDIES}/").removesuffix("/claims.md"))


def relinked(text: str, source: str) -> str:
    """The text of a file with links to pages of the site, and to the pictures that lie in `pictures/` there.

    Of a link to any other file only the words stay.

    Args:
        text: Markdown.
        source: the file that it is of, relative to the root.
    """
    page = place_of(source)
    assert page is not None, source

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if re.match(r"https?://|#|mailto:", target):
            return found[0]
        path, mark, anchor = target.partition("#")
        other = place_of(os.path.normpath(Path(source).parent / path))
        if other is None:
            return words
        return f"[{words}]({os.path.relpath(other, Path(page).parent)}{mark}{anchor})"

    def picture(found: re.Match[str]) -> str:
        attribute, target = found.groups()
        return f'{attribute}="{os.path.relpath(f"pictures/{Path(target).name}", Path(page).parent)}"'

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    told = "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)
    return PICTURE.sub(picture, told)


def tree_pages() -> dict[str, str]:
    """Text by page: the files, and a page for each study of claims."""
    found = {page: relinked((ROOT / path).read_text(encoding="utf-8"), path) for path, page in PAGES.items()}
    for name, page in studies().items():
        folder = f"{STUDIES}/{name}"
        parts = [f"# {name}\n"]
        for file in ("objection.md", "reading.md", "claims.md"):
            if (ROOT / folder / file).exists():
                text = (ROOT / folder / file).read_text(encoding="utf-8")
                parts.append(relinked(text, f"{folder}/claims.md").replace("# Claims\n", "## Claims\n", 1))
        found[page] = "\n".join(parts)
    return found
