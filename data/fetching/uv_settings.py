"""uv's settings: its environment variables, and the files of the project, the user and the system."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DownloadError, reason_of

_NO = ("", "0", "n", "no", "f", "false", "off")


def uv_settings() -> dict[str, Any]:
    """Fields of `ClientSettings` that uv's environment variables and files set. Raises `DownloadError`."""
    files = [_table(file) for file in _files()]
    environment = os.environ
    return {
        "indexes": (
            *_addresses(environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")),
            *_from_files(files, "index-url"),
            *_listed(files, default=True),
        ),
        "extra_indexes": (
            *_addresses(environment.get("UV_INDEX")),
            *_addresses(environment.get("UV_EXTRA_INDEX_URL")),
            *_listed(files, default=False),
            *_from_files(files, "extra-index-url"),
        ),
        "find_links": (
            *_addresses((environment.get("UV_FIND_LINKS") or "").replace(",", " ")),
            *_from_files(files, "find-links"),
            *_listed(files, flat=True),
        ),
        "trusted_hosts": (
            *_addresses(environment.get("UV_INSECURE_HOST")),
            *_from_files(files, "allow-insecure-host"),
        ),
        "no_index": environment.get("UV_NO_INDEX", "").lower() not in _NO or True in _from_files(files, "no-index"),
    }


def _files() -> Iterator[Path]:
    """The nearest project's, the user's, the system's; or just the one that UV_CONFIG_FILE names."""
    if os.environ.get("UV_NO_CONFIG", "").lower() not in _NO:
        return
    if os.environ.get("UV_CONFIG_FILE"):
        yield Path(os.environ["UV_CONFIG_FILE"]).expanduser()
        return
    for folder in (Path.cwd(), *Path.cwd().parents):
        found = [file for file in (folder / "uv.toml", folder / "pyproject.toml") if file.is_file()]
        if found:
            yield found[0]
            break
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "uv" / "uv.toml"
    yield Path("/etc/uv/uv.toml")


def _table(file: Path) -> Mapping[str, Any]:
    """uv's settings in a file; those of its part `pip` count as the others do."""
    if not file.is_file():
        return {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DownloadError(f"cannot read uv's settings in {file}: {reason_of(error)}") from error
    if file.name == "pyproject.toml":
        table = table.get("tool", {}).get("uv", {})
    return {**table, **table.get("pip", {})}


def _addresses(text: str | None) -> tuple[str, ...]:
    """Addresses between blanks; an index may be written `name=address`."""
    return tuple(_without_name(word) for word in (text or "").split())


def _without_name(word: str) -> str:
    name, equals, address = word.partition("=")
    return address if equals and name.replace("-", "").replace("_", "").isalnum() else word


def _from_files(files: list[Mapping[str, Any]], key: str) -> list[Any]:
    found: list[Any] = []
    for table in files:
        value = table.get(key, [])
        found += value if isinstance(value, list) else [value]
    return found


def _listed(files: list[Mapping[str, Any]], *, default: bool = False, flat: bool = False) -> Iterator[str]:
    """Addresses of the tables [[index]], without those that only serve packages that name them."""
    for entry in _from_files(files, "index"):
        is_flat = entry.get("format") == "flat"
        if entry.get("explicit") or is_flat != flat:
            continue
        if flat or bool(entry.get("default")) == default:
            yield entry["url"]
