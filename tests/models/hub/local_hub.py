"""The hub as a folder on this machine, in which each repository is one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError


class Hub:
    """What `HfApi` asks of the hub, answered by a folder for each repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create_repo(self, repo_id: str, **keywords: object) -> Any:
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def create_commit(self, repo_id: str, operations: Any, **keywords: object) -> None:
        for operation in operations:
            with operation.as_file() as file:
                (self.root / repo_id / operation.path_in_repo).write_bytes(file.read())

    def file_exists(self, repo_id: str, filename: str, **keywords: object) -> bool:
        return (self.root / repo_id / filename).is_file()

    def upload_folder(self, repo_id: str, folder_path: Path) -> None:
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def download(self, repo_id: str, filename: str, **keywords: object) -> str:
        if not self.file_exists(repo_id, filename):
            raise EntryNotFoundError(filename)
        return str(self.root / repo_id / filename)


@contextmanager
def local_hub(root: Path) -> Iterator[None]:
    """What is pushed goes to `root`, and cards come from there."""
    hub = Hub(root)
    with pytest.MonkeyPatch.context() as patched:
        for name in ("create_repo", "create_commit", "upload_folder", "file_exists"):
            answer = getattr(hub, name)
            patched.setattr(huggingface_hub.HfApi, name, lambda self, *args, answer=answer, **kw: answer(*args, **kw))
        patched.setattr("huggingface_hub.repocard.hf_hub_download", hub.download)
        yield
