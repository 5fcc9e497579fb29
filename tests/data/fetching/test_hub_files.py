"""Files of a hub repository at a pinned commit."""

from pathlib import Path

import pytest

from sparsebench.data import sources
from sparsebench.data.errors import ChecksumError, DownloadError

from ..caches import left_in, one_line

HUB = """
name = "hub-demo"
kind = "hub"
repository = "owner/model"
revision = "{revision}"
version = "1"
licence = "MIT"
citation = "none"

[[files]]
name = "weights.bin"
sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
size = 7
"""


@pytest.mark.parametrize("content", ["content", "other"])
def test_hub(manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, content: str):
    import huggingface_hub

    revision = "0123456789" * 4
    (manifests / "hub-demo.toml").write_text(HUB.format(revision=revision))

    def snapshot(repository: str, **given) -> str:
        assert repository == "owner/model" and given["revision"] == revision and given["repo_type"] == "model"
        assert given["allow_patterns"] == ["weights.bin"]
        (given["local_dir"] / ".cache").mkdir()
        (given["local_dir"] / "weights.bin").write_text(content)
        return str(given["local_dir"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    if content == "content":
        assert left_in(sources.ensure("hub-demo")) == [".complete.json", "weights.bin"]
    else:
        with pytest.raises(ChecksumError, match=r"weights\.bin: wrong checksum"):
            sources.ensure("hub-demo")
        assert left_in(cache) == []


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), ValueError("gone")])
def test_hub_without_network(manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    import huggingface_hub

    def snapshot(*_, **__):
        raise error

    (manifests / "hub-demo.toml").write_text(HUB.format(revision="0" * 40))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(DownloadError) as caught:
        sources.ensure("hub-demo")
    assert "cannot download owner/model" in one_line(caught)
