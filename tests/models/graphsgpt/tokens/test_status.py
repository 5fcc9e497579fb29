"""The codes of a molecule's status, which stand in token stores."""

from sparsebench.models.graphsgpt.tokens.status import Rejection, TokenStatus


def test_the_numbers_are_those_of_stored_files() -> None:
    names = "OK NOT_A_MOLECULE INVALID EMPTY TOO_MANY_ATOMS UNKNOWN_TOKEN ISOTOPE RADICAL HYDROGENS NO_SCAFFOLD"
    assert [status.name for status in TokenStatus] == names.split()
    assert list(map(int, TokenStatus)) == list(range(10))


def test_a_rejection_says_what_and_why() -> None:
    rejection = Rejection(TokenStatus.ISOTOPE, "atom 1 is isotope 13")
    assert rejection.status is TokenStatus.ISOTOPE and str(rejection) == "atom 1 is isotope 13"
