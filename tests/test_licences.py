"""The page of licences is of what there is; what packages say of themselves may change with each of their versions."""

from . import licences


def test_the_page_is_up_to_date() -> None:
    page = licences.PAGE.read_text(encoding="utf-8")
    for part in (licences.weights(), licences.vendored(), licences.fetched()):
        assert "\n".join(part) in page, "python -m tests.licences"
    section = page.partition("## Packages that are installed")[2].partition("What these bring")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert {name: extras for name, extras, _ in rows} == {name: ", ".join(e) for name, e in licences.needed().items()}


def test_a_licence_is_what_the_package_says() -> None:
    assert licences.licence_of("numpy").startswith("BSD-3-Clause")
    assert licences.licence_of("accelerate") == "Apache Software License"
    assert {"tokenizers", "regex"} <= licences.closure({"transformers"})
