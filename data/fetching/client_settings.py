"""Where the user's package clients look for packages: the settings of pip and of uv, read without either of them.

Both clients' environment variables and configuration files count, since either may be the one that this environment
was made with; every file is pinned by its sha256, so it does not matter which index gives it.
pip: https://pip.pypa.io/en/stable/topics/configuration/, uv: https://docs.astral.sh/uv/reference/settings/.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from .pip_settings import pip_settings
from .uv_settings import uv_settings


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Addresses in the order in which they are asked; without ``indexes``, the client's built-in one is.

    ``find_links`` are folders or pages that list archives; ``trusted_hosts`` are reached without a certificate.
    """

    indexes: tuple[str, ...] = ()
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    certificates: str | None = None
    """File with the certificates to trust in place of the system's."""
    client_certificate: str | None = None
    proxy: str | None = None
    """In addition to what HTTPS_PROXY and NO_PROXY say."""
    timeout: float = 15.0


def client_settings() -> ClientSettings:
    """The settings of pip and uv together. Raises `DownloadError` for a configuration file that cannot be read."""
    found = [pip_settings(), uv_settings()]
    merged: dict[str, Any] = {}
    for field in fields(ClientSettings):
        merged |= _merge(field.name, [one[field.name] for one in found if one.get(field.name)])
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if "certificates" not in merged and os.environ.get(name):
            merged["certificates"] = os.environ[name]
    return ClientSettings(**merged)


def _merge(name: str, values: list[Any]) -> Mapping[str, Any]:
    """Lists are joined, each address once; of anything else the first counts."""
    if not values:
        return {}
    if not isinstance(values[0], tuple):
        return {name: values[0]}
    return {name: _once(values)}


def _once(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    joined: dict[str, None] = {}
    for values in lists:
        joined |= dict.fromkeys(values)
    return tuple(joined)
