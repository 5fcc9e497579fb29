"""Building C++ kernels at first use: one compiler call, cached by source, flags and compiler.

Beside the library lies its sha256: one that was cut or exchanged is built again, never loaded. That says nothing of who
built it, since anybody can write both. So each user has a folder of kernels in the cache, which others may share, and
what others could have put into it is refused.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from .processor import facts

HEADER = Path(__file__).with_name("vectors.h")
"""What every source may include."""
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fopenmp", "-mavx2", "-mfma")
NEEDED = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
SWITCH = "SPARSEBENCH_NATIVE"
"""Environment variable: 0 keeps to PyTorch's own operators."""


class NotAvailableError(RuntimeError):
    """The kernels cannot be had here; the message says why."""


class Built(NamedTuple):
    """The compiled library, its sha256, whether it has bfloat16, whether the processor has a matrix unit for that, and
    which of the optional features it was built with."""

    path: Path
    sha256: str
    bf16: bool
    matrix_unit: bool
    features: tuple[str, ...] = ()


def library(source: Path, more: Sequence[str] = (), optional: Sequence[str] = ()) -> Built:
    """Compile a source, or find what was compiled before.

    Args:
        source: the C++ file.
        more: what the processor has to have in addition to `NEEDED`, by its names there ("avx512_vnni").
        optional: what the library is built with where the processor and the compiler know all of it.

    Raises:
        NotAvailableError: with the reason.
    """
    if os.environ.get(SWITCH) == "0":
        raise NotAvailableError(f"{SWITCH}=0")
    found = _processor()
    needed = (*NEEDED, *more)
    missing = [name for name in needed if name not in found]
    if missing:
        raise NotAvailableError(f"the processor has no {', '.join(missing)}")
    bf16 = "avx512_bf16" in found
    flags = [*FLAGS, *map(_flag, needed)]
    if bf16:
        flags.append("-mavx512bf16")
    features = tuple(name for name in optional if name in found)
    try:
        path = _built(source, [*flags, *map(_flag, features)])
    except NotAvailableError:
        if not features:
            raise
        features = ()  # a compiler older than the processor
        path = _built(source, flags)
    return Built(path, _digest_file(path).read_text(encoding="utf-8"), bf16, "amx_bf16" in found, features)


def _flag(feature: str) -> str:
    """The compiler's name of a feature that the system calls "avx512_vbmi" or "amx_int8"."""
    if feature.startswith("amx_"):
        return f"-m{feature.replace('_', '-')}"
    return f"-m{feature.replace('_', '')}"


def _processor() -> frozenset[str]:
    try:
        return frozenset(facts().get("flags", "").split())
    except OSError as error:
        raise NotAvailableError(f"the processor's features cannot be read: {error.strerror}") from error


def _built(source: Path, flags: list[str]) -> Path:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if compiler is None:
        raise NotAvailableError("there is no C++ compiler (g++ or clang++; CXX names another)")
    text = (source.read_bytes(), HEADER.read_bytes())
    content = repr((compiler, flags, text)).encode()
    path = kernel_folder() / f"{source.parent.name}-{hashlib.sha256(content).hexdigest()[:16]}.so"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(path)
        if not _is_whole(path):
            with FileLock(path.with_suffix(".lock")):
                if not _is_whole(path):
                    _compile(compiler, source, flags, path)
    except OSError as error:
        raise NotAvailableError(f"{path.parent} cannot be written: {error.strerror}") from error
    return path


def _refuse_foreign(library: Path) -> None:
    """Raises `NotAvailableError` where somebody else than the user and root could have put the library there."""
    for path in (library.parent, library, _digest_file(library)):
        if not os.path.lexists(path):  # it will be built
            continue
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            problem = "is a link"
        elif found.st_uid not in (os.geteuid(), 0):
            problem = f"belongs to user {found.st_uid}"
        elif found.st_mode & 0o022:
            problem = f"has mode {stat.S_IMODE(found.st_mode):o}, so that others can write it"
        else:
            continue
        raise NotAvailableError(
            f"{path} {problem}, and what lies there would be run: remove it, "
            "or set SPARSEBENCH_CACHE to a folder of yours"
        )


def _is_whole(path: Path) -> bool:
    """Whether the library is there and has the digest that was written when it was built."""
    try:
        return _sha256(path) == _digest_file(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _digest_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _compile(compiler: str, source: Path, flags: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [*shlex.split(compiler), *flags, f"-I{HEADER.parent}", str(source), "-o", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise NotAvailableError(f"{compiler} cannot be started: {error.strerror}") from error
        if done.returncode:
            said = " ".join(done.stderr.split())[:300] or f"it says nothing but exit code {done.returncode}"
            raise NotAvailableError(f"{compiler} failed: {said}")
        digest = Path(folder) / "sha256"
        digest.write_text(_sha256(made), encoding="utf-8")
        made.chmod(0o700)
        digest.chmod(0o600)
        made.replace(path)
        digest.replace(_digest_file(path))


def kernel_folder() -> Path:
    """The user's folder of kernels, and of what was measured of them, in the cache."""
    chosen = os.environ.get("SPARSEBENCH_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    cache = Path(chosen) if chosen else Path(shared) / "sparsebench"
    return cache.expanduser() / f"native-{os.geteuid()}"
