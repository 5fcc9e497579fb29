"""Make the environment of the audit: `python -m tests.device.environment FOLDER`.

It has the same version of torch as this one, built for CUDA, and sees all other packages of this one.
"""

import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

BUILT = ("torch", "torchvision")
"""Packages that have builds of their own for CUDA."""


def main(folder: str) -> None:
    """Make it, or bring it up to date."""
    here = Path(sys.executable).parent
    there = Path(folder) / "bin" / "python"
    subprocess.run([here / "uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder], check=True)
    wanted = [f"{name}=={version(name).partition('+')[0]}" for name in BUILT]  # "+cpu" names the build
    subprocess.run([here / "uv", "pip", "install", "--quiet", "--python", there, *wanted], check=True)
    inside = Path(sysconfig.get_path("purelib", vars={"base": folder}))
    ours = sysconfig.get_path("purelib")
    # Behind its own packages, so that its torch comes first; a path file of ours is read, too.
    (inside / "other_packages.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
