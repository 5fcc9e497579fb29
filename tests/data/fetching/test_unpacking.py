"""Archives that try to write elsewhere."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from sparsebench.data.errors import DownloadError
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
