"""Pictures to click at: a row of small ones, and what belongs to the chosen one below.

Plain HTML without a script: the small pictures are labels of radio buttons, so a page without a kernel reacts
to a click, and the arrow keys work too.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gad_core.figures.pictures import small_jpeg

SIDE, THUMB = 130, 48
"""Pixels of the longer side of a picture, and of one to click at."""

_ROW = "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(105px,30%),1fr));gap:6px"
_STYLE = """
#{id} input {{ position: absolute; opacity: 0 }}
#{id} label {{ cursor: pointer; display: inline-block; padding: 2px; border: 3px solid transparent }}
#{id} .panel {{ display: none }}
"""
_CHOSEN = """
#{id}-{k}:checked ~ label[for="{id}-{k}"] {{ border-color: #D55E00 }}
#{id}-{k}:focus-visible ~ label[for="{id}-{k}"] {{ outline: 2px solid #0072B2 }}
#{id}-{k}:checked ~ .panel-{k} {{ display: block }}
"""


@dataclass(frozen=True, eq=False)
class Panel:
    """Pictures side by side, each with a text below; a notebook shows it by itself.

    Parameters
    ----------
    pictures : sequence of (str, (H, W, 3) uint8 array)
        Texts and images. The first is the one to click at in a `Gallery`.
    title : str
        Above them.
    """

    pictures: Sequence[tuple[str, NDArray[np.uint8]]]
    title: str

    def _repr_html_(self) -> str:
        cells = "".join(f"<div>{_img(image, text, SIDE)}<br>{text}</div>" for text, image in self._escaped())
        return f'<p><strong>{html.escape(self.title)}</strong></p><div style="{_ROW}">{cells}</div>'

    def _escaped(self) -> list[tuple[str, NDArray[np.uint8]]]:
        return [(html.escape(text), image) for text, image in self.pictures]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Small pictures, of which a click chooses one and shows its panel.

    Parameters
    ----------
    name : str
        Of letters, digits and hyphens; unlike that of any other gallery on the page.
    panels : dict of str to Panel
        By the name of the picture.
    """

    name: str
    panels: dict[str, Panel]

    def _repr_html_(self) -> str:
        numbers = range(len(self.panels))
        style = _STYLE.format(id=self.name) + "".join(_CHOSEN.format(id=self.name, k=k) for k in numbers)
        inputs = "".join(_input(self.name, k) for k in numbers)
        labels = "".join(
            f'<label for="{self.name}-{k}">{_img(panel.pictures[0][1], html.escape(text), THUMB)}</label>'
            for k, (text, panel) in enumerate(self.panels.items())
        )
        panels = "".join(
            f'<div class="panel panel-{k}">{panel._repr_html_()}</div>'
            for k, panel in enumerate(self.panels.values())
        )
        return (
            f'<style>{style}</style><div id="{self.name}" class="gad-gallery">{inputs}{labels}{panels}</div>'
        )


def _input(name: str, number: int) -> str:
    checked = " checked" if number == 0 else ""
    return f'<input type="radio" name="{name}" id="{name}-{number}"{checked}>'


def _img(image: NDArray[np.uint8], text: str, side: int) -> str:
    # The class keeps the theme from laying pictures on a light ground in dark mode.
    style = f"width:100%;max-width:{side}px"
    return f'<img class="dark-light" src="{small_jpeg(image, side)}" alt="{text}" style="{style}">'
