"""What a cell may read: its own, the environment, and in packages what the code hash covers."""

from pathlib import Path

import numpy as np
import pytest

from sparsebench.suites.runner.execution import readable
from sparsebench.suites.runner.execution.readable import Readable, whole

from ..cells import cell


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests lie in the temporary folder, which every cell may read."""
    monkeypatch.setattr(readable, "_always", lambda: (Path(np.__file__).parent,))
    monkeypatch.setenv("SPARSEBENCH_CACHE", "/cache")


def test_the_environment_code_and_the_cache(tmp_path: Path) -> None:
    found = Readable(cell(), tmp_path / "checkpoints")
    checkpoint = f"{tmp_path}/checkpoints/a"
    ours = ["/cache/sources/x", f"{Path.home()}/.config/y", checkpoint, f"{tmp_path}/z.py", f"{tmp_path}/a.dist-info/b"]
    assert all(map(found.allows, [np.__file__, *ours]))
    assert not any(map(found.allows, [f"{tmp_path}/a", f"{Path.home()}/a", "/cachet", f"{tmp_path}/checkpoints2/a"]))


def test_a_folder_of_the_user_s_is_read_by_cells_that_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(tmp_path))
    image, hidden = f"{tmp_path}/a/b.jpg", f"{tmp_path}/a/.b.jpg"
    assert Readable(cell("own-images"), None).allows(image)
    assert not Readable(cell("own-images"), None).allows(hidden)
    assert not Readable(cell("own-text"), None).allows(image)


def test_a_link_may_lead_out_of_what_is_named_or_into_it(tmp_path: Path) -> None:
    for name in ("named", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
        (tmp_path / name / "link").symlink_to(tmp_path / ("other" if name == "named" else "named") / "a")
    found = Readable(cell(f"file:{tmp_path}/named"), None)
    assert found.allows(f"{tmp_path}/named/link"), "its content is what the identity read"
    assert found.allows(f"{tmp_path}/other/link") and not found.allows(f"{tmp_path}/other/a")


def test_files_of_our_suites_count_where_a_module_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file next to a task, with a name that is made at run time, is in no code hash."""
    suites = tmp_path / "suites"
    (suites / "llm" / "weights").mkdir(parents=True)
    monkeypatch.setattr(readable, "SUITES", suites)
    monkeypatch.setattr(readable, "_always", lambda: (tmp_path,))
    readable._packages.cache_clear()
    file = f"{suites}/llm/mine.csv"
    assert not Readable(cell(), None).allows(file)
    assert Readable(cell(f"file:{file}"), None).allows(file)
    assert Readable(cell(), None).allows(f"{suites}/llm/weights/small.safetensors")
    readable._packages.cache_clear()


def test_a_path_is_whole_without_following_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert whole("a/../b") == str(tmp_path / "b")
