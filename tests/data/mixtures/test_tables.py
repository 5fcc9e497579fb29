import pytest

from sparsebench.data.mixtures.tables import REFERENCE_LOSSES, SHARES, SLIMPAJAMA


@pytest.mark.parametrize("name", sorted(SHARES))
def test_published_shares_sum_to_one(name):
    assert sum(SHARES[name].values()) == pytest.approx(1, abs=2e-7)


def test_the_tables_of_slimpajama_name_its_seven_domains():
    for table in (SHARES["llama"], SHARES["sheared-llama"], REFERENCE_LOSSES["llama-2-7b"]):
        assert tuple(table) == SLIMPAJAMA
