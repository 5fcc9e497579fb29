"""Full disks, folders that cannot be written, and other users: one line, exit code 2, and the same command goes on."""

import os
import resource
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparsebench.reports.page.html import unpack

from .conftest import PLUGIN, Bench
from .draws import refusal

NOBODY = "65534"
ROWS = [{"name": "misbehave", "label": "plain"}]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or mount("-t", "tmpfs", "-o", "size=160k", "none", place):
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def mount(*arguments: str | Path) -> int:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert refusal(done.stderr), done.stderr
    for word in words:
        assert word in done.stderr.lower(), done.stderr


@pytest.mark.usefixtures("no_process_stays")
def test_a_full_disk(bench: Bench, small_disk: Path) -> None:
    profile = bench.profile(ROWS, seeds=60)
    out = small_disk / "out"
    refused(bench.call(*bench.run_arguments(profile, out)), "no space left")
    half = len(bench.records(out))
    assert half < 60
    refused(bench.call(*bench.run_arguments(profile, out)), "no space left")
    assert mount("-o", "remount,size=20m", small_disk) == 0
    done = bench.call(*bench.run_arguments(profile, out))
    assert done.returncode == 0, done.stderr
    assert len(bench.records(out)) == 60


@pytest.mark.usefixtures("no_process_stays")
def test_a_limit_on_the_size_of_files(bench: Bench) -> None:
    """As a quota: it holds for records, the plan and the index alike."""
    profile = bench.profile(ROWS, seeds=2)
    assert bench.call("plan", "--profile", profile, "--out", str(bench.out)).returncode == 0  # the plan is cached now

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    refused(bench.call(*bench.run_arguments(profile), preexec_fn=limited), "file too large")
    done = bench.call(*bench.run_arguments(profile))
    assert done.returncode == 0, done.stderr
    assert {record.status for record in bench.records().values()} == {"ok"}


def test_a_folder_that_cannot_be_written(bench: Bench, small_disk: Path) -> None:
    """It can be reported of, elsewhere; a run into it is refused."""
    profile = bench.profile(ROWS)
    assert mount("-o", "remount,size=20m", small_disk) == 0
    out = small_disk / "out"
    assert bench.call(*bench.run_arguments(profile, out)).returncode == 0
    assert mount("-o", "remount,ro", small_disk) == 0
    refused(bench.call(*bench.run_arguments(profile, out)), "read-only")
    refused(bench.call(*bench.run_arguments(profile, small_disk / "new")), "read-only")
    refused(bench.call("report", str(out)), "read-only")
    done = bench.call("report", str(out), "--out", str(bench.folder / "report"))
    assert done.returncode == 0, done.stderr
    assert "plain" in str(unpack((bench.folder / "report" / "index.html").read_text())["tracks"])


@pytest.fixture
def as_nobody(bench: Bench) -> Callable[..., subprocess.CompletedProcess]:
    """Calls the command line as another user, with a home and a cache of its own."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("being another user needs root and setpriv")
    home = bench.folder / "home"
    home.mkdir()
    shutil.chown(home, int(NOBODY), int(NOBODY))
    libraries = sysconfig.get_path("purelib")
    (home / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({libraries!r})\n")
    environment = {**bench.environment, "HOME": str(home), "SPARSEBENCH_CACHE": str(home / "cache")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{home}:{PLUGIN}:{libraries}"}
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]

    def start(*command: str) -> subprocess.CompletedProcess:
        for parent in (bench.folder, *bench.folder.parents):  # each time: another pytest that starts shuts them again
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o111)
        options = {"env": environment, "cwd": home, "timeout": 200}
        return subprocess.run([*user, *command], capture_output=True, text=True, **options)

    python = _python_of_all(start)
    return lambda *arguments: start(python, *bench.command(*arguments)[1:])


def _python_of_all(start: Callable[..., subprocess.CompletedProcess]) -> str:
    """A Python that another user may start, and that user's programs again: ours may lie in somebody's home."""
    version = f"python3.{sys.version_info.minor}"
    code = (
        "import subprocess, sys, torch, pydantic, sparsebench; subprocess.run([sys.executable, '-c', '1'], check=True)"
    )
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if Path(python).exists() and start(python, "-c", code).returncode == 0:
            return python
    pytest.skip(f"another user can read no Python of version {version} with our libraries, or not {ROOT}")


def test_another_user(bench: Bench, as_nobody: Callable[..., subprocess.CompletedProcess]) -> None:
    """It runs into a folder of its own; a folder of root's it can report of, and is told that it cannot write it."""
    profile = bench.profile(ROWS)
    Path(profile).chmod(0o644)
    assert PLUGIN.is_dir()
    mine = bench.folder / "home" / "out"
    done = as_nobody(*bench.run_arguments(profile, mine))
    assert done.returncode == 0, done.stdout + done.stderr
    assert mine.stat().st_uid == int(NOBODY)
    assert bench.call(*bench.run_arguments(profile)).returncode == 0
    assert bench.records()["plain 0"].metrics == bench.records(mine)["plain 0"].metrics
    refused(as_nobody(*bench.run_arguments(profile)), "permission denied")
    refused(as_nobody(*bench.run_arguments(profile, bench.folder / "new")), "permission denied")
    refused(as_nobody("report", str(bench.out)), "permission denied")
    elsewhere = bench.folder / "home" / "report"
    assert as_nobody("report", str(bench.out), "--out", str(elsewhere)).returncode == 0
    assert (elsewhere / "index.html").exists()
    for secret in (bench.out / "records").glob("*.json"):
        secret.chmod(0o600)
    hidden = as_nobody("report", str(bench.out), "--out", str(elsewhere))
    assert "Traceback" not in hidden.stdout + hidden.stderr
    assert hidden.returncode in (0, 2)
