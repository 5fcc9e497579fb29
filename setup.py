"""The only place where the folders become one import package: `models/` is `sparsebench.models`, and so on.

Of the tests, the speed cells are in it: `sparsebench speed` runs them on a user's machine. The description is README.md
without what leads to files beside it, which a package index does not have.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("models", "data", "suites", "reports")


def description() -> str:
    """README.md without its picture; of links to files only the words are left."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"<picture>.*?</picture>\n+", "", text, flags=re.DOTALL)
    return re.sub(r"\[([^\]]+)\]\((?!https://)[^)]*\)", r"\1", text)


setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    package_dir={f"sparsebench.{folder}": folder for folder in FOLDERS} | {"sparsebench.speed": "tests/speed"},
    packages=[
        f"sparsebench.{package}"
        for package in find_packages(include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")])
    ]
    + ["sparsebench.speed"],
)
