"""A manifest file that says what no source is."""

import re
from pathlib import Path

import pytest

from sparsebench.data.errors import ManifestError
from sparsebench.data.manifest_entry import parse

BASE = {"name": '"demo"', "kind": '"package"', "registry": '"pypi"', "package": '"demo"', "version": '"1"'}
BASE |= {"licence": '"MIT"', "citation": '"none"'}
FILES = f'\n[[files]]\nname = "demo.whl"\nsha256 = "{"0" * 64}"\nsize = 1\n'
LOCAL = {key: value for key, value in BASE.items() if key not in ("registry", "package")} | {"kind": '"local"'}


@pytest.mark.parametrize(
    ("changes", "files", "message"),
    [
        ({"licens": '"MIT"'}, FILES, "unknown key 'licens'; did you mean licence"),
        ({"licence": None}, FILES, "missing key 'licence'"),
        ({"kind": '"pakage"'}, FILES, "unknown kind 'pakage'; did you mean package"),
        ({"registry": '"pipy"'}, FILES, "unknown registry 'pipy'; did you mean pypi"),
        ({"name": '"other"'}, FILES, "the file name says 'demo'"),
        ({"package": None}, FILES, "needs the key 'package'"),
        ({}, "", "needs the key 'files'"),
        ({}, FILES * 2, "exactly one archive, not 2"),
        ({}, FILES.replace("0" * 64, "12"), "sha256 of demo.whl is not 64 hex digits"),
        ({"contents": '"12"'}, FILES, "contents is not 64 hex digits"),
        ({}, FILES + "md5 = 1\n", "unknown key 'md5'"),
        ({"name": '"demo'}, FILES, "not valid TOML"),
        ({"kind": '"hub"', "repository": '"a/b"', "revision": '"main"'}, FILES, "'main' is not a full commit"),
        ({**dict.fromkeys(BASE), **LOCAL}, FILES, "one of the keys 'environment' and 'installed'"),
    ],
)
def test_a_malformed_manifest_is_named(tmp_path: Path, changes: dict, files: str, message: str):
    lines = [f"{key} = {value}" for key, value in {**BASE, **changes}.items() if value is not None]
    file = tmp_path / "demo.toml"
    file.write_text("\n".join(lines) + files)
    with pytest.raises(ManifestError, match=re.escape(message)) as caught:
        parse(file)
    assert str(caught.value).startswith("demo.toml: ")
    assert "\n" not in str(caught.value)
