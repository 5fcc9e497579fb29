"""The recorded files are those that the README names."""

import hashlib
import re

from .oracle import FOLDER


def test_checksums() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = [file for kind in ("safetensors", "json", "bin", "pkl") for file in sorted(FOLDER.rglob(f"*.{kind}"))]
    assert len(files) == len(re.findall("`[0-9a-f]{64}`", text))
    for file in files:
        assert f"`{hashlib.sha256(file.read_bytes()).hexdigest()}`" in text, file
