"""Seeds as hashes of named axes."""

from sparsebench.suites.contracts.seeds import derive_seed


def test_a_seed_is_the_same_on_every_machine() -> None:
    assert derive_seed("llm", "piqa", 0, "split") == derive_seed("llm", "piqa", "0", "split")
    assert derive_seed("a") == 529978260370350907  # the first 63 bits of SHA-256 of ["a"]


def test_every_axis_counts_and_their_borders_too() -> None:
    seeds = {derive_seed("ab", "c"), derive_seed("a", "bc"), derive_seed("abc"), derive_seed("c", "ab"), derive_seed()}
    assert len(seeds) == 5


def test_seeds_fit_into_a_generator_of_torch() -> None:
    assert all(0 <= derive_seed(number) < 2**63 for number in range(100))
