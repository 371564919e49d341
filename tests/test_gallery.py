"""The gallery: every picture can be clicked at, has its own panel, and one is shown at first."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from gad_core.figures.gallery import SIDE, THUMB, Gallery, Panel
from gad_core.widgets import explorer


class Parts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, wanted):
        return [attrs for tag, attrs in self.tags if tag == wanted]


def flat(grey):
    return np.full((200, 100, 3), grey, dtype=np.uint8)


def panel(grey):
    return Panel([("the <image>", flat(grey)), ("its map", flat(grey + 40))], f"grey {grey}")


def pixels(img):
    data = base64.b64decode(img["src"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_a_label_and_a_panel_belong_to_each_button():
    gallery = Gallery("grey", {"dark": panel(20), "bright": panel(180)})
    text = gallery._repr_html_()
    parts = Parts(text)
    buttons, labels = parts.all("input"), parts.all("label")
    assert [each["id"] for each in buttons] == [each["for"] for each in labels] == ["grey-0", "grey-1"]
    assert {each["name"] for each in buttons} == {"grey"}  # one group: one of them is chosen
    assert ["checked" in each for each in buttons] == [True, False]
    assert len(re.findall(r"#grey-\d:checked ~ \.panel-\d ", text)) == 2
    assert [each["class"] for each in parts.all("div") if "panel" in each.get("class", "")] == [
        "panel panel-0",
        "panel panel-1",
    ]


def test_pictures_are_those_given_with_their_texts():
    images = Parts(Gallery("grey", {"dark": panel(20)})._repr_html_()).all("img")
    assert [each["alt"] for each in images] == ["dark", "the <image>", "its map"]
    assert [max(pixels(each).shape) for each in images] == [THUMB, SIDE, SIDE]
    for each, grey in zip(images, (20, 20, 60), strict=True):
        assert abs(pixels(each) - grey).max() < 4  # JPEG


def test_texts_are_no_markup():
    shown = Panel([("<b>", flat(9))], "a < b")._repr_html_()
    assert "<b>" not in shown
    assert "a &lt; b" in shown


def test_a_live_control_draws_the_panel_of_its_value():
    live = explorer(panel, grey=(20, 200, 20))
    live.controls["grey"].value = 60
    assert live.figure.title == "grey 60"
