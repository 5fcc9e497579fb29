import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.data.manifest import source
from sparsebench.data.vision import dsprites
from sparsebench.data.vision.splits import draw

CENTRE = [16, 16]
SQUARE, ELLIPSE, HEART = 0, 1, 2


def image(*factors: int) -> np.ndarray:
    return dsprites.render(dsprites.index_of(np.array([factors])))[0]


@given(st.integers(0, dsprites.TOTAL - 1))
def test_index_is_mixed_radix(index: int):
    factors = dsprites.factors_of(np.array([index]))
    shape, scale, orientation, x, y = map(int, factors[0])
    assert index == (((shape * 6 + scale) * 40 + orientation) * 32 + x) * 32 + y
    assert dsprites.index_of(factors)[0] == index


def test_manifest_states_what_the_code_renders():
    parameters = source("dsprites").parameters
    sizes = [parameters[key] for key in ("shapes", "scales", "orientations", "positions_x", "positions_y")]
    assert tuple(sizes) == dsprites.FACTOR_SIZES
    assert np.prod(sizes) == dsprites.TOTAL == source("dsprites").splits["all"]
    assert (parameters["size"], parameters["seed"]) == (dsprites.IMAGE_SIZE, dsprites.SEED)
    assert parameters["generator"] == dsprites.__name__


def test_location_label_takes_two_x_positions_each():
    index = dsprites.index_of(np.array([[0, 0, 0, x, 5] for x in range(32)]))
    assert dsprites.labels_of(index, "location").tolist() == [x // 2 for x in range(32)]


def test_orientation_label_takes_three_and_two_by_turns():
    index = dsprites.index_of(np.array([[0, 0, o, 0, 0] for o in range(40)]))
    labels = dsprites.labels_of(index, "orientation")
    assert labels.dtype == np.int64
    assert labels.tolist() == [int(o / 2.5) for o in range(40)]
    assert np.bincount(labels).tolist() == [3, 2] * 8


def test_square_has_known_pixels():
    large = image(SQUARE, 5, 0, *CENTRE) > 0
    rows, columns = np.nonzero(large)
    assert large.sum() == 21 * 21  # half side 10.25: pixels -10..10
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 42, 22, 42)
    assert (image(SQUARE, 0, 0, *CENTRE) > 0).sum() == 11 * 11  # half side 5.125


@pytest.mark.parametrize(("shape", "area"), [(SQUARE, 20.5**2), (ELLIPSE, np.pi * 11.25 * 7.25), (HEART, 313.3)])
def test_area_is_that_of_the_shape_at_every_angle(shape: int, area: float):
    """The heart's area is 3.6615 (its unit curve, integrated numerically) times 9.25 squared."""
    index = dsprites.index_of(np.array([[shape, 5, o, *CENTRE] for o in range(40)]))
    areas = (dsprites.render(index) > 0).sum(axis=(1, 2))
    assert abs(areas.mean() / area - 1) < 0.01
    assert (abs(areas / area - 1) < 0.05).all()


def test_positions_move_by_one_pixel():
    first, right, down = image(HEART, 3, 7, 0, 0), image(HEART, 3, 7, 1, 0), image(HEART, 3, 7, 0, 1)
    assert np.array_equal(np.roll(first, 1, axis=1), right)
    assert np.array_equal(np.roll(first, 1, axis=0), down)


def test_no_sprite_touches_the_border():
    corners = [(x, y) for x in (0, 31) for y in (0, 31)]
    index = dsprites.index_of(np.array([[s, 5, o, *xy] for s in range(3) for o in range(40) for xy in corners]))
    images = dsprites.render(index)
    assert images[:, [0, -1], :].max() == 0 and images[:, :, [0, -1]].max() == 0
    assert set(np.unique(images)) == {0, 255}


def test_both_ends_of_the_turn_look_the_same():
    for shape in (SQUARE, ELLIPSE, HEART):
        assert np.array_equal(image(shape, 4, 0, *CENTRE), image(shape, 4, 39, *CENTRE))
    assert not np.array_equal(image(HEART, 4, 0, *CENTRE), image(HEART, 4, 20, *CENTRE))


def test_splits_are_fixed_and_share_their_images():
    location = dsprites.dsprites("location", train=30, val=10, test=20)
    orientation = dsprites.dsprites("orientation", train=30, val=10, test=20)
    larger = dsprites.dsprites("location", train=40, val=10, test=50)
    for ours, theirs in zip(location, orientation, strict=True):
        assert np.array_equal(ours.images, theirs.images)
        assert ours.images.shape[1:] == (64, 64, 3)
    assert not np.array_equal(location.test.labels, orientation.test.labels)
    assert np.array_equal(larger.train.images[:30], location.train.images)
    assert np.array_equal(larger.test.labels[:20], location.test.labels)


def test_all_test_images_are_drawn_one_by_one():
    small = dsprites.dsprites("orientation", train=1, val=1, test=12).test
    sprites, labels = dsprites.dsprites_test("orientation")
    assert len(sprites) == len(labels) == dsprites.TEST_RESERVE
    assert np.array_equal(list(sprites[:12]), small.images) and np.array_equal(labels[:12], small.labels)
    assert np.array_equal(sprites[4:9][2], small.images[6])


def test_labels_are_those_of_the_images():
    """The middle of a symmetric sprite's columns gives its x position back, and so its label."""
    images, labels = dsprites.dsprites("location", train=1, val=1, test=300).test
    columns = (images[..., 0] > 0).any(axis=1)
    middle = (columns.argmax(axis=1) + 63 - columns[:, ::-1].argmax(axis=1)) / 2
    index = draw(dsprites.TOTAL, dsprites.SEED, dsprites.TEST_RESERVE)[0][:300]
    symmetric = dsprites.factors_of(index)[:, 0] != HEART
    assert ((middle - 16) // 2 == labels)[symmetric].all()


def test_bad_requests():
    with pytest.raises(ValueError, match="label is 'x'; labels: location, orientation"):
        dsprites.dsprites("x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="label is 'x'"):
        dsprites.dsprites_test("x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="73728 are reserved for testing"):
        dsprites.dsprites("location", test=80_000)
    assert dsprites.render(np.array([], dtype=int)).shape == (0, 64, 64)
