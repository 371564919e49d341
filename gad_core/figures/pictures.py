"""Pictures inside figures, small enough that a page can hold many."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 180
"""Pixels of a picture's longer side."""


def small_jpeg(image: NDArray[np.uint8], side: int = SIDE) -> str:
    """Write an image as a data address of a JPEG whose longer side has so many pixels."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    scale = side / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    picture.resize(size, Image.Resampling.LANCZOS).save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
