"""Archives that try to write elsewhere."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from sparsebench.data.errors import DownloadError
from sparsebench.data.fetching import unpacking
from sparsebench.data.fetching.unpacking import inside, unpack


def tar_of(file: Path, *members: tuple[str, bytes, str]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = link
            content = b"content" if kind == tarfile.REGTYPE else b""
            member.size = len(content)
            member.mode = 0o4755
            tar.addfile(member, io.BytesIO(content))
    return file


def wheel_of(file: Path, *names: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return file


def test_a_source_archive_loses_its_top_folder(tmp_path: Path):
    top = tmp_path / "demo-1.0"
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "a.txt").write_text("a")
    archive = shutil.make_archive(str(tmp_path / "demo"), "gztar", tmp_path, "demo-1.0")
    unpack(Path(archive), tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "a.txt").read_text() == "a"


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "a\\..\\out.txt", ".."])
def test_names_that_point_outside(tmp_path: Path, name: str):
    into = tmp_path / "into"
    with pytest.raises(DownloadError, match="would be written outside its folder: not unpacked"):
        unpack(wheel_of(tmp_path / "demo.whl", "good.txt", name), into)
    members = [("top/good.txt", tarfile.REGTYPE, ""), (name, tarfile.REGTYPE, "")]
    with pytest.raises(DownloadError, match="would be written outside its folder: not unpacked"):
        unpack(tar_of(tmp_path / "demo.tar.gz", *members), into)
    assert not into.exists()  # nothing at all is written
    with pytest.raises(DownloadError):
        inside(name)


def test_links_and_devices_are_not_written(tmp_path: Path):
    members = [
        ("top/link", tarfile.SYMTYPE, str(tmp_path / "outside")),
        ("top/hard", tarfile.LNKTYPE, "top/file"),
        ("top/pipe", tarfile.FIFOTYPE, ""),
        ("top/file", tarfile.REGTYPE, ""),
    ]
    unpack(tar_of(tmp_path / "demo.tar.gz", *members), tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").rglob("*")] == ["file"]
    assert (tmp_path / "into" / "file").stat().st_mode & 0o7111 == 0


def test_a_file_below_a_link_is_written_inside(tmp_path: Path):
    (tmp_path / "outside").mkdir()
    members = [("top/link", tarfile.SYMTYPE, str(tmp_path / "outside")), ("top/link/file", tarfile.REGTYPE, "")]
    unpack(tar_of(tmp_path / "demo.tar.gz", *members), tmp_path / "into")
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "into" / "link" / "file").read_text() == "content"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice(tmp_path: Path):
    with pytest.raises(FileExistsError):
        unpack(wheel_of(tmp_path / "demo.whl", "a.txt", "a.txt"), tmp_path / "into")


@pytest.mark.parametrize("name", ["demo.whl", "demo.tar.gz"])
@pytest.mark.parametrize("cut", [0.0, 0.1, 0.5])
def test_archives_that_are_cut(tmp_path: Path, name: str, cut: float):
    file = tmp_path / name
    if name.endswith(".whl"):
        wheel_of(file, "a.txt", "b.txt")
    else:
        tar_of(file, ("top/a.txt", tarfile.REGTYPE, ""), ("top/b.txt", tarfile.REGTYPE, ""))
    file.write_bytes(file.read_bytes()[: int(cut * file.stat().st_size)])
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        unpack(file, tmp_path / "into")


def bomb(file: Path, count: int = 1) -> Path:
    """Files of 3 MiB of zeros, in a few kB."""
    zeros = bytes(3 << 20)
    if file.name.endswith(".whl"):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(count):
                archive.writestr(f"{number}.txt", zeros)
        return file
    with tarfile.open(file, "w:gz") as tar:
        for number in range(count):
            member = tarfile.TarInfo(f"top/{number}.txt")
            member.size = len(zeros)
            tar.addfile(member, io.BytesIO(zeros))
    return file


@pytest.mark.parametrize("name", ["demo.whl", "demo.tar.gz"])
def test_what_unpacks_to_more_than_the_bound_is_stopped_there(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(unpacking, "MOST_BYTES", 4 << 20)
    archive = bomb(tmp_path / name, count=2)
    assert archive.stat().st_size < 20_000
    with pytest.raises(DownloadError, match=f"{name} unpacks to more than 4 MiB: stopped there"):
        unpack(archive, tmp_path / "into")
    written = sum(file.stat().st_size for file in (tmp_path / "into").iterdir())
    assert written <= 4 << 20
    monkeypatch.setattr(unpacking, "MOST_BYTES", 6 << 20)
    unpack(archive, tmp_path / "again")


@pytest.mark.parametrize("name", ["demo.whl", "demo.tar.gz"])
def test_an_archive_of_very_many_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "MOST_FILES", 2)
    with pytest.raises(DownloadError, match=f"{name} has more than 2 files: not unpacked"):
        unpack(bomb(tmp_path / name, count=3), tmp_path / "into")
    assert not (tmp_path / "into").exists()
