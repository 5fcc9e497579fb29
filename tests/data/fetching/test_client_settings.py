"""The settings of both clients together."""

import pytest

from sparsebench.data.fetching.client_settings import ClientSettings, client_settings


def test_nothing_is_set(no_settings: None, monkeypatch: pytest.MonkeyPatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert client_settings() == ClientSettings()


def test_addresses_of_both_each_once(no_settings: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example https://two.example")
    monkeypatch.setenv("UV_INDEX", "https://two.example https://three.example")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    found = client_settings()
    assert found.extra_indexes == ("https://one.example", "https://two.example", "https://three.example")
    assert found.no_index


def test_certificates_as_requests_and_curl_name_them(no_settings: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CURL_CA_BUNDLE", "/curl.pem")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    assert client_settings().certificates == "/curl.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/requests.pem")
    assert client_settings().certificates == "/requests.pem"
    monkeypatch.setenv("PIP_CERT", "/pip.pem")
    assert client_settings().certificates == "/pip.pem"
