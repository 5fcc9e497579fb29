"""`list`, `show`, `check` and `doctor`."""


def test_plugins_appear_in_the_list(bench) -> None:
    listed = bench.call("list", "--suite", "molecules").stdout
    for name in ("toy_fine", "toy_sum", "toy_line"):
        assert name in listed
    assert "Sets all weights to one, after a nap" in listed
    assert "nap = 0.0" in bench.call("show", "toy_fine").stdout
