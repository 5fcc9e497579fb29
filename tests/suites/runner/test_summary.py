"""What the report is told of each suite, read from files without importing them."""

from sparsebench.suites.runner.summary import suite_infos


def test_methods_say_which_of_their_configurations_are_controls() -> None:
    for info in suite_infos().values():
        assert info.controls["moe_random"] == ({},)
        assert {"criterion": "random"} in info.controls["sparse_adapter"]
        assert not info.controls["lora"]


def test_baselines_are_those_of_the_suites() -> None:
    infos = suite_infos()
    assert (infos["llm"].baseline, infos["llm"].group_baselines["text"]) == ("dense", "linear_probe")
    assert infos["vtab"].baseline == "linear_probe"


def test_records_of_a_method_that_was_renamed_keep_its_role() -> None:
    controls = suite_infos()["molecules"].controls
    assert controls["training_copies"] == controls["training_set"] == ({},)
