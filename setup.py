"""The only place where the folders become one import package: `models/` is `sparsebench.models`, and so on.

Of the tests, the speed cells are in it: `sparsebench speed` runs them on a user's machine.
"""

from setuptools import find_packages, setup

FOLDERS = ("models", "data", "suites", "reports")

setup(
    package_dir={f"sparsebench.{folder}": folder for folder in FOLDERS} | {"sparsebench.speed": "tests/speed"},
    packages=[
        f"sparsebench.{package}"
        for package in find_packages(include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")])
    ]
    + ["sparsebench.speed"],
)
