"""The number of a link stands before the names of what it noted."""

from sparsebench.reports.records.links import by_link, split


def test_names_of_a_chain_are_taken_apart():
    assert split("2. mixing cv2") == (2, "mixing cv2") and split("mixing cv2") == (1, "mixing cv2")
    assert split("layer 2. norm") == (1, "layer 2. norm")


def test_notes_of_a_name_are_in_the_order_of_links():
    assert by_link({"10. bits": 8, "2. bits": 4, "2. bits by block": 1}, "bits") == {2: 4, 10: 8}
    assert list(by_link({"10. bits": 8, "2. bits": 4}, "bits")) == [2, 10]
    assert by_link({"bits": 4}, "bits") == {1: 4} and by_link({"a. bits": 4}, "bits") == {}
