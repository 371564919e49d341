"""Figures of explanations: what they draw is what they were given."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from gad_core.figures.explanation import (
    before_and_after,
    decomposition_bars,
    exchange_curves,
    explained,
)
from gad_core.figures.pictures import SIDE


def pixels(trace):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(trace.source.partition(",")[2]))))


def test_image_map_and_mask_stand_side_by_side():
    image = np.full((2 * SIDE, 2 * SIDE, 3), (200, 100, 50), dtype=np.uint8)
    overlay, mask = 255 - image, np.zeros((2 * SIDE, 2 * SIDE), dtype=bool)
    mask[:SIDE] = True
    figure = explained(image, overlay, mask, "M = 3")
    shown = [pixels(trace).astype(int) for trace in figure.data[:3]]
    assert all(each.shape == (SIDE, SIDE, 3) for each in shown)
    assert abs(shown[0] - image[0, 0]).max() < 6  # JPEG
    assert abs(shown[1] - overlay[0, 0]).max() < 6
    assert shown[2][: SIDE // 2 - 8].min() > 240
    assert shown[2][SIDE // 2 + 8 :].max() < 15
    assert figure.data[3].text == ("M = 3",)


def test_bars_are_percent_of_each_image():
    figure = decomposition_bars({"a": [1, 2, 1], "b": [3, -1, 2]}, ["level 1", "level 2", "level 3"])
    assert [list(bar.y) for bar in figure.data] == [[25, 50, 25], [75, -25, 50]]
    markers = [bar.marker for bar in figure.data]
    assert markers[0].color != markers[1].color
    assert markers[0].pattern.shape != markers[1].pattern.shape


def test_intervals_reach_from_their_low_to_their_high_end():
    row = {"predictor": "sum", "before": 0.6, "before_low": 0.5, "before_high": 0.75}
    row |= {"after": 0.9, "after_low": 0.85, "after_high": 0.92}
    before, after = before_and_after([row], "matched").data
    assert (before.y[0], after.y[0], after.name) == (60, 90, "matched")
    assert before.error_y.array[0] == pytest.approx(15)
    assert before.error_y.arrayminus[0] == pytest.approx(10)


def test_curves_have_a_panel_for_each_kind_and_a_line_for_each_map():
    rows = [
        {"curve": kind, "map": name, "share": share, "score": 0.5, "score_low": 0.4, "score_high": 0.8}
        for kind in ("deletion", "insertion")
        for name in ("exact map", "turned map")
        for share in (0.0, 1.0)
    ]
    rows[2]["score"] = 0.7  # deletion by the turned map, at its start
    lines = exchange_curves(rows).data
    assert [(line.name, line.xaxis) for line in lines] == [
        ("exact map", "x"),
        ("turned map", "x"),
        ("exact map", "x2"),
        ("turned map", "x2"),
    ]
    assert list(lines[1].y) == pytest.approx([70, 50])
    assert list(lines[0].error_y.array) == pytest.approx([30, 30])
    assert list(lines[0].error_y.arrayminus) == pytest.approx([10, 10])
    assert lines[0].line.dash != lines[1].line.dash
    assert [line.showlegend for line in lines] == [True, True, False, False]
