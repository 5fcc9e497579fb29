"""The front page of a site."""

from sparsebench.reports.page.site import Study, render_site


def study(path, claims=None, findings=()):
    about = {"line": "3 records", "holds": "", "warnings": ["Objected to."], "problems": []}
    return Study(path, {"title": path, "about": about, "claims": claims, "findings": list(findings)})


def test_it_sums_the_claims_and_links_every_page():
    parts = [{"verdict": "holds", "count": 2}, {"verdict": "undecided", "count": 1}]
    finding = {"lead": "Holds: ", "text": "A < B", "open": "sheet=claims"}
    text = render_site("all", [study("one", {"parts": parts}, [finding]), study("two", {"parts": parts[:1]})])
    assert "5 claims of papers" in text and 'aria-label="4 holds, 0 fails' in text
    assert 'href="one/index.html"' in text and 'href="one/index.html#sheet=claims"' in text
    assert "A &lt; B" in text and text.count("Objected to.") == 2


def test_without_claims_there_is_no_bar():
    assert "claims of papers" not in render_site("all", [study("one")])
