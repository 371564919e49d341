"""The pictures that the embedded network was trained on: numbers in, the same picture out."""

import numpy as np
import pytest

from training.procedural.fields import FIELDS, nearest_cells
from training.procedural.pictures import COMPOSITIONS, picture
from training.procedural.shapes import SHAPES

SIZE = 64


def test_a_picture_depends_on_its_numbers_alone():
    first = picture(3, 1, size=SIZE)
    np.random.seed(9)  # noqa: NPY002 - the global state must not matter
    assert np.array_equal(picture(3, 1, size=SIZE), first)
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    for other in (picture(3, 2, size=SIZE), picture(4, 1, size=SIZE), picture(3, 1, size=SIZE, seed=1)):
        assert not np.array_equal(other, first)


def test_instances_of_a_style_are_more_alike_than_pictures_of_other_styles():
    def summary(style, instance):
        image = picture(style, instance, size=SIZE) / 255
        return np.concatenate([image.mean((0, 1)), image.std((0, 1))])

    found = np.array([[summary(style, i) for i in range(3)] for style in range(30)])
    within = np.linalg.norm(found - found.mean(1, keepdims=True), axis=2).mean()
    between = np.linalg.norm(found.mean(1) - found.mean((0, 1)), axis=1).mean()
    assert within < between / 2


def test_most_pictures_have_contrast():
    spreads = [picture(style, 0, size=SIZE).std() for style in range(40)]
    assert np.median(spreads) > 15
    assert np.mean(np.array(spreads) < 2) < 0.1


class Recorder:
    """A generator that keeps what is drawn from it."""

    def __init__(self, seed):
        self.rng, self.drawn = np.random.default_rng(seed), []

    def __getattr__(self, name):
        method = getattr(self.rng, name)

        def call(*args, **kwargs):
            value = method(*args, **kwargs)
            self.drawn.append((name, np.asarray(value).tolist()))
            return value

        return call


@pytest.mark.parametrize("compose", COMPOSITIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("style", range(8))
def test_what_is_drawn_from_the_style_does_not_depend_on_the_instance(compose, style):
    drawn = []
    for instance in range(2):
        recorder = Recorder(style)
        compose(recorder, np.random.default_rng(instance), 32)
        drawn.append(recorder.drawn)
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 5


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_standardised(name):
    from gad_core.datasets.drawing import grid

    for seed in range(5):
        field = FIELDS[name](np.random.default_rng(seed), np.random.default_rng(seed + 50), *grid(SIZE))
        assert field.shape == (SIZE, SIZE)
        assert field.dtype == np.float32
        assert abs(field.mean()) < 1e-3
        assert field.std() == pytest.approx(1, abs=0.01)


def test_nearest_cells_against_all_points():
    a, b = np.random.default_rng(1).uniform(0, 5, (2, 6, 7)).astype(np.float32)
    first, second, _ = nearest_cells(np.random.default_rng(0), a, b, 0.3)
    shape = (int(a.max()) + 3, int(b.max()) + 3)
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, (2, *shape)).astype(np.float32)
    i, j = np.meshgrid(np.arange(shape[0]) - 1, np.arange(shape[1]) - 1, indexing="ij")
    points = np.stack([i + 0.5 + jitter[0], j + 0.5 + jitter[1]], -1).reshape(-1, 2)
    distances = np.sort(np.linalg.norm(np.stack([a, b], -1)[:, :, None] - points, axis=-1), axis=-1)
    np.testing.assert_allclose(first, distances[..., 0], atol=1e-5)
    np.testing.assert_allclose(second, distances[..., 1], atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_solid_inside_and_flat_outside(name):
    from gad_core.datasets.drawing import grid

    for seed in range(6):
        distance, height = SHAPES[name](
            np.random.default_rng(seed), np.random.default_rng(9), *grid(SIZE), 0.7
        )
        inside = distance < 0
        assert 0.01 < inside.mean() < 0.9
        assert np.all(height[~inside] == 0)
        assert np.all(height >= 0)
        assert height.max() > 0
