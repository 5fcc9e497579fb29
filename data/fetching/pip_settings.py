"""pip's settings: its environment variables over its configuration files, of which later ones count more."""

import configparser
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DownloadError, reason_of

SECTIONS = ("global", "install", "download")
_NO = ("", "0", "n", "no", "f", "false", "off")


def pip_settings() -> dict[str, Any]:
    """Fields of `ClientSettings` that pip's environment variables and files set. Raises `DownloadError`."""
    options: dict[str, str] = {}
    for file in _files():
        options |= _options(file)
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {
        "indexes": _words(options.get("index-url") or options.get("pypi-url")),
        "extra_indexes": _words(options.get("extra-index-url")),
        "find_links": _words(options.get("find-links")),
        "trusted_hosts": _words(options.get("trusted-host")),
        "no_index": options.get("no-index", "").lower() not in _NO,
        "certificates": options.get("cert"),
        "client_certificate": options.get("client-cert"),
        "proxy": options.get("proxy"),
        "timeout": _seconds(options.get("timeout")),
    }


def _files() -> Iterator[Path]:
    """Site-wide, the user's, the environment's, the one that PIP_CONFIG_FILE names; os.devnull there means none."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
        yield Path.home() / "Library" / "Application Support" / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    yield Path.home() / ".pip" / "pip.conf"
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pip" / "pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if named:
        yield Path(named).expanduser()


def _options(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise DownloadError(f"cannot read pip's settings in {file}: {reason_of(error)}") from error
    options: dict[str, str] = {}
    for section in SECTIONS:
        if parser.has_section(section):
            options |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    return options


def _words(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").split())


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise DownloadError(f"pip's setting timeout is {text!r}: write a number of seconds") from None
