"""The nineteen tasks: counts that papers state."""

from sparsebench.data.vision.vtab1k.tasks import CLASSES, GROUPS, PARTS, SPARSE, TEST_SIZES, TWINS, sizes


def test_there_are_nineteen_tasks_with_940_classes():
    assert len(CLASSES) == 19
    assert sum(CLASSES.values()) == 940
    assert [len(tasks) for tasks in GROUPS.values()] == [7, 4, 8]
    assert {task for tasks in GROUPS.values() for task in tasks} == set(CLASSES) == set(TEST_SIZES)
    assert {*SPARSE, *TWINS} <= set(CLASSES)


def test_parts_and_their_sizes():
    assert tuple(sizes("svhn")) == PARTS
    assert tuple(sizes("svhn").values()) == (800, 200, 1000, 26_032)
    assert (min(TEST_SIZES.values()), max(TEST_SIZES.values())) == (711, 73_728)
