import re
from pathlib import Path

import pytest

from sparsebench.data import manifest
from sparsebench.data.errors import ManifestError, UnknownSource
from sparsebench.data.identity import BY_CONTENT

NAMES = sorted(file.stem for file in manifest.FOLDER.glob("*.toml"))


def test_catalogue_holds_every_file():
    assert sorted(manifest.catalogue()) == NAMES
    assert len(NAMES) >= 17
    assert {entry.kind for entry in manifest.catalogue().values()} == {"package", "local", "procedural"}


def test_manifest_is_complete(subtests: pytest.Subtests):
    for name in NAMES:
        with subtests.test(name=name):
            entry = manifest.source(name)
            assert entry.licence and entry.citation and entry.version
            assert re.fullmatch(r"[0-9a-f]{64}", entry.fingerprint)
            assert all(file.size > 0 for file in entry.files)
            assert entry.pinned or name in ("vtab-1k", *BY_CONTENT)  # folders for which nobody publishes sums
            for named in entry.paths.values():
                assert not Path(named).is_absolute() and ".." not in Path(named).parts
            assert set(entry.licences) <= set(entry.splits), "a licence of a part that has no size"


def test_fingerprint_of_a_package_is_its_archive_sum():
    assert manifest.fingerprint("smollm2") == manifest.source("smollm2").files[0].sha256


def test_fingerprints_differ():
    assert len({manifest.fingerprint(name) for name in NAMES}) == len(NAMES)


def test_fingerprint_of_a_procedural_source_depends_on_its_parameters(manifests: Path):
    text = 'name = "p"\nkind = "procedural"\nversion = "1"\nlicence = "x"\ncitation = "x"\n[parameters]\nseed = {}\n'
    found = []
    for seed in (1, 2):
        (manifests / "p.toml").write_text(text.format(seed))
        found.append(manifest.parse(manifests / "p.toml").fingerprint)
    assert found[0] != found[1]


def test_unknown_source_names_near_ones():
    with pytest.raises(UnknownSource, match="unknown source 'smolm2'; did you mean smollm2"):
        manifest.source("smolm2")


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
        manifest.parse(file)
    assert str(caught.value).startswith("demo.toml: ")
    assert "\n" not in str(caught.value)


def test_all_that_is_fetched_is_pinned_file_by_file_or_together():
    """So that whoever exchanges a file and the seal of its folder in a cache that others can write is noticed."""
    for name, entry in manifest.catalogue().items():
        if entry.registry == "pypi":
            assert entry.contents, name
        elif entry.kind in ("package", "hub"):
            assert entry.files, name


def test_readme_lists_every_source_with_its_licence():
    rows = (manifest.FOLDER.parent / "README.md").read_text(encoding="utf-8").splitlines()
    for name, entry in manifest.catalogue().items():
        (row,) = [row for row in rows if row.startswith(f"| `{name}` |")]
        assert entry.licence in row and entry.version in row


@pytest.mark.data
def test_licences_of_sets_are_those_that_the_package_states():
    from sparsebench.data.sources import path

    stated = path("evals", "licence").read_text(encoding="utf-8")
    apart = {line.rpartition("/data/")[2] for line in stated.splitlines() if line.startswith("- **Location**: ")}
    known = {name.partition("/")[0] for name in manifest.source("evals").licences}
    assert apart == known
