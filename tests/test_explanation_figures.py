"""Figures of explanations: what they draw is what they were given."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from gad_core.errors import InputError
from gad_core.explain.overlay import overlay
from gad_core.figures.explanation import OUTLINE, decomposition_bars, map_overlay


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(figure.data[0].source.partition(",")[2]))))


def test_the_overlay_is_the_map_over_the_image_with_the_outline_of_the_mask():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    relevance, mask = np.random.default_rng(1).normal(size=(20, 30)), np.zeros((20, 30), dtype=bool)
    mask[5:9, 10:15] = True
    figure = map_overlay(image, relevance, mask, threshold=0.3)
    outlined = (pixels(figure) == OUTLINE).all(axis=2)
    assert not outlined[mask].any()
    assert outlined[4, 12]
    assert outlined[3, 12]
    assert not outlined[1, 12]
    rest = ~outlined
    np.testing.assert_array_equal(pixels(figure)[rest], overlay(image, relevance, 0.3)[rest])
    np.testing.assert_allclose(figure.data[1].z, relevance, atol=0.006)


def test_a_coarse_map_is_brought_to_the_image_and_a_zero_map_is_dark():
    image = np.zeros((12, 8, 3), dtype=np.uint8)
    assert np.shape(map_overlay(image, np.ones((3, 2))).data[1].z) == (12, 8)
    assert len(np.unique(pixels(map_overlay(image, np.zeros((3, 2)))).reshape(-1, 3), axis=0)) == 1
    with pytest.raises(InputError, match="empty"):
        map_overlay(image, np.ones((3, 2)), np.zeros((12, 8), dtype=bool))


def test_bars_are_percent_of_each_image():
    figure = decomposition_bars({"a": [1, 2, 1], "b": [3, -1, 2]}, ["level 1", "level 2", "level 3"])
    assert [list(bar.y) for bar in figure.data] == [[25, 50, 25], [75, -25, 50]]
    markers = [bar.marker for bar in figure.data]
    assert markers[0].color != markers[1].color
    assert markers[0].pattern.shape != markers[1].pattern.shape
