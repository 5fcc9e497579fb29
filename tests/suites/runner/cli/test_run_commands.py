"""`plan`, `prepare` and `run`."""


def test_prepare_one_source(sparsebench) -> None:
    """What a message about a broken file says."""
    code, out, _ = sparsebench("prepare", "--source", "digits")
    assert code == 0 and out.startswith("digits: ready in ")
    code, _, err = sparsebench("prepare", "--source", "digit")
    assert code == 2 and "unknown source 'digit'; did you mean digits" in err


def toy(methods: list, seeds: int) -> dict:
    rows = {"seeds": seeds, "backbones": ["toy_line"], "methods": methods, "tasks": ["toy_sum"]}
    return {"molecules": rows}


def test_plan_states(bench) -> None:
    bench.write_profile(toy(["toy_fine", "toy_picky", "toy_raise"], seeds=1))
    arguments = ["plan", "--profile", str(bench.folder / "toy.yaml"), "--out", str(bench.out)]
    before = bench.call(*arguments).stdout
    assert "2 missing, 1 n/a" in before
    assert "has no spokes" in before
    bench.call(*bench.run_arguments())
    after = bench.call(*arguments).stdout
    assert "1 done, 1 failed, 1 n/a" in after
