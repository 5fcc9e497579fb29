"""The commit that a name of the hub stands for on this machine."""

import hashlib
import json
from pathlib import Path

import pytest

from sparsebench.data import hub
from sparsebench.data.errors import ChecksumError, DownloadError, OfflineError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def listing(repository: Path, *names: str) -> Path:
    """What the hub's client notes of a commit: all files of the repository, whether they were asked for or not."""
    file = repository / "trees" / f"{COMMIT}.json"
    file.parent.mkdir()
    entries = {name: {"size": 2, "blob_id": "0" * 40} for name in names}
    file.write_text(json.dumps({"format_version": 1, "files": entries}))
    return file


@pytest.fixture
def cached(tmp_path: Path, monkeypatch) -> Path:
    """A hub's cache with one repository, of which the branch main and the tag v1 are known.

    Its README and its pickle are listed and not there, as `fetch` takes neither.
    """
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"weights")
    listing(repository, ".gitattributes", "README.md", "config.json", "model.safetensors", "pytorch_model.bin")
    (repository / "refs").mkdir()
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return repository


def test_names_and_revisions(cached: Path) -> None:
    assert hub.split("owner/name") == ("owner/name", "main")
    assert hub.split("owner/name@v1") == ("owner/name", "v1")
    assert hub.commit("owner/name") == hub.commit("owner/name@v1") == COMMIT
    assert hub.commit("owner/name@v2") is None
    assert hub.commit("owner/other") is None
    assert hub.commit("no/such/folder") is None


def test_a_commit_is_itself_whether_or_not_it_is_here(cached: Path) -> None:
    assert hub.commit("owner/other@" + "f" * 40) == "f" * 40


def test_a_moved_branch_is_another_commit(cached: Path) -> None:
    (cached / "refs" / "main").write_text("e" * 40)
    (cached / "snapshots" / ("e" * 40)).mkdir()
    (cached / "snapshots" / ("e" * 40) / "model.safetensors").write_bytes(b"weights")
    assert hub.commit("owner/name") == "e" * 40


@pytest.mark.parametrize("listed", [True, False])
def test_what_is_here_in_part_is_fetched(cached: Path, monkeypatch, listed: bool) -> None:
    """Other programs keep a tokenizer or a configuration alone, and note no listing."""
    if not listed:
        (cached / "trees" / f"{COMMIT}.json").unlink()
    assert hub.folder_here("owner/name") == cached / "snapshots" / COMMIT
    (cached / "snapshots" / COMMIT / "model.safetensors").unlink()
    assert hub.folder_here("owner/name") is None and hub.commit("owner/name") is None
    monkeypatch.delenv("SPARSEBENCH_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="cannot be fetched" if listed else "without weights in safetensors"):
        hub.fetch("owner/name")


def test_what_cannot_be_fetched_says_so_in_one_line(cached: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    with pytest.raises(OfflineError, match="owner/other is not in the hub's cache"):
        hub.fetch("owner/other")
    monkeypatch.delenv("SPARSEBENCH_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="owner/other cannot be fetched") as caught:
        hub.fetch("owner/other")
    assert "\n" not in str(caught.value)


def test_what_is_fetched_is_pinned(cached: Path, monkeypatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub.fetch("owner/name@v1") == COMMIT


@pytest.fixture
def blobs(cached: Path) -> Path:
    """The snapshot as the hub's client lays it out: links to content that is named by its digests."""
    snapshot = cached / "snapshots" / COMMIT
    (cached / "blobs").mkdir()
    for file in snapshot.iterdir():
        file.unlink()
    weights = b"weights"
    for name, content, digest in (
        ("model.safetensors", weights, hashlib.sha256(weights).hexdigest()),
        ("config.json", b"{}", hashlib.sha1(b"blob 2\0{}").hexdigest()),
    ):
        (cached / "blobs" / digest).write_bytes(content)
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / digest)
    return snapshot


def test_files_are_what_the_hub_calls_them(blobs: Path) -> None:
    found = {name: hub.verified(file, "hf:owner/name") for name, file in hub.files("owner/name").items()}
    assert found == {
        "config.json": hashlib.sha256(b"{}").hexdigest(),
        "model.safetensors": hashlib.sha256(b"weights").hexdigest(),
    }
    with pytest.raises(OfflineError, match="owner/other is not in the hub's cache; mend it with `sparsebench prepare`"):
        hub.files("owner/other")


def test_content_that_is_gone_is_not_here_where_it_is_listed(blobs: Path) -> None:
    assert hub.folder_here("owner/name") == blobs
    (blobs / "config.json").resolve().unlink()
    assert hub.folder_here("owner/name") is None


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_broken_file_is_refused_and_fetched_again(blobs: Path, monkeypatch, name: str, how: str) -> None:
    blob = (blobs / name).resolve()
    content = blob.read_bytes()
    if how == "cut":
        blob.write_bytes(content[:1])
    else:
        (blobs.parent.parent / "trees" / f"{COMMIT}.json").unlink()  # with it, the name counts as not here
        blob.unlink()
    problem = "has changed in" if how == "cut" else "is gone from"
    with pytest.raises(ChecksumError, match=f"hf:owner/name: {name} {problem} the hub's cache; mend it with"):
        hub.verified(hub.files("owner/name")[name], "hf:owner/name")

    def fetch(argument: str) -> None:
        assert argument == "owner/name" and not blob.exists() and not (blobs / name).is_symlink()
        blob.write_bytes(content)
        (blobs / name).symlink_to(blob)

    monkeypatch.setattr(hub, "fetch", fetch)
    assert hub.mend("owner/name")
    assert hub.verified(hub.files("owner/name")[name], "hf:owner/name") == hashlib.sha256(content).hexdigest()
    assert not hub.mend("owner/name")
