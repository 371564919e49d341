"""The paper's augmentation of training images (method: Augmentation; Tables IV, V and VIII).

The specification names the changes, their probabilities, the ranges of shift, scale and rotation, and the
exceptions of some categories. The rest is our reading:

- the pipeline is applied to the image at the size of the network's input, and the whole of it with
  probability 0.5; inside, each change is drawn on its own, in the order of the text;
- blur: Gaussian, sigma 0.5 to 1.5 pixels;
- sharpen/contrast: one or the other with equal chance; sharpening adds 0.2 to 0.5 of the difference to a
  blurred copy (sigma 1), contrast is scaled about the mean by 0.8 to 1.2;
- hue/saturation/value: each shifted by a uniform amount of up to 40 degrees, 30 / 255 and 20 / 255;
- noise: Gaussian, independent for each pixel and channel, of variance 10 to 50 on the scale of 0 to 255;
- rot90: one, two or three quarter turns, equally likely;
- shift (each direction by itself), scale and rotation are drawn together, uniformly, and made in one step,
  bilinearly, about the centre; what comes into view beyond an edge mirrors the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import ndimage

VERSION = 1
"""Version of what `augmented` does; features of another version are not mixed with those of this one."""

WHOLE = 0.5
"""Probability that a pass changes an image at all."""

NO_FLIP = ("metal_nut", "pill", "capsule", "screw")
NO_QUARTER_TURN = ("transistor",)
FAR_TURN = ("carpet", "grid", "hazelnut", "leather", "tile")
FIXED = ("grid",)
"""Neither shifted nor rotated nor zoomed in."""


@dataclass(frozen=True)
class Augmentation:
    """What the pipeline may do with a category's images.

    Parameters
    ----------
    flip : bool
        Whether images may be mirrored left to right.
    quarter_turns : bool
        Whether they may be turned by multiples of 90 degrees.
    shift : float
        Largest shift, as a share of the side.
    scale : (float, float)
        Least and largest change of the scale, as a share.
    degrees : float
        Largest rotation to either side.
    """

    flip: bool = True
    quarter_turns: bool = True
    shift: float = 0.05
    scale: tuple[float, float] = (-0.05, 0.10)
    degrees: float = 15.0


def augmentation_of(category: str) -> Augmentation:
    """Give the augmentation of a category, with the paper's exceptions.

    Examples
    --------
    >>> augmentation_of("screw")
    Augmentation(flip=False, quarter_turns=True, shift=0.05, scale=(-0.05, 0.1), degrees=15.0)
    """
    fixed = category in FIXED
    return Augmentation(
        flip=category not in NO_FLIP,
        quarter_turns=category not in NO_QUARTER_TURN,
        shift=0.0 if fixed else 0.05,
        scale=(-0.05, 0.0 if fixed else 0.10),
        degrees=0.0 if fixed else 45.0 if category in FAR_TURN else 15.0,
    )


def augmented(image: NDArray[np.uint8], allowed: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change an image at random, as one pass over the training images does.

    Parameters
    ----------
    image : (s, s, 3) uint8 array
        The image at the size of the network's input.
    allowed : Augmentation
        From `augmentation_of`.
    rng : numpy.random.Generator
        Source of all that is drawn.

    Returns
    -------
    (s, s, 3) uint8 array
        The image itself with probability `1 - WHOLE`.
    """
    if rng.random() >= WHOLE:
        return image
    for probability, change in ((0.2, _blur), (0.3, _sharpen_or_contrast), (0.3, _recolour), (0.2, _noise)):
        if rng.random() < probability:
            image = change(image, rng)
    if allowed.flip and rng.random() < 0.5:
        image = image[:, ::-1]
    if allowed.quarter_turns and rng.random() < 0.5:
        image = np.rot90(image, int(rng.integers(1, 4)))
    if rng.random() < 0.2:
        image = moved(
            image,
            shift=rng.uniform(-allowed.shift, allowed.shift, size=2),
            scale=1 + rng.uniform(*allowed.scale),
            degrees=rng.uniform(-allowed.degrees, allowed.degrees),
        )
    return np.ascontiguousarray(image)


def blurred(image: NDArray, sigma: float) -> NDArray[np.float32]:
    """Blur an image (h, w, 3) by a Gaussian of `sigma` pixels; edges are mirrored, nothing is rounded."""
    return ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="mirror")


def recoloured(image: NDArray[np.uint8], hue: int, saturation: int, value: int) -> NDArray[np.uint8]:
    """Add to hue (256 is a full turn), saturation and value (of 255) of an image (h, w, 3)."""
    hsv = np.asarray(Image.fromarray(image).convert("HSV")).astype(np.int16)
    hsv += np.array([hue, saturation, value], dtype=np.int16)
    hsv[..., 0] %= 256
    changed = np.clip(hsv, 0, 255).astype(np.uint8)
    return np.asarray(Image.frombytes("HSV", image.shape[1::-1], changed.tobytes()).convert("RGB"))


def moved(image: NDArray[np.uint8], shift: ArrayLike, scale: float, degrees: float) -> NDArray[np.uint8]:
    """Turn an image about its centre, enlarge it, and shift it.

    Parameters
    ----------
    image : (s, s, 3) uint8 array
        The image.
    shift : (2,) array
        Down and to the right, as a share of the side.
    scale : float
        Above 1 enlarges.
    degrees : float
        Counter-clockwise.

    Returns
    -------
    (s, s, 3) uint8 array
        Bilinearly interpolated; beyond its edges the image is mirrored.
    """
    side, angle = len(image), np.deg2rad(degrees)
    centre = np.full(2, (side - 1) / 2)
    # From a pixel of the result back to where it comes from, in (row, column).
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    origin = centre - back @ (centre + side * np.asarray(shift))
    source = image.astype(np.float32)
    channels = [
        ndimage.affine_transform(source[..., c], back, origin, order=1, mode="mirror") for c in range(3)
    ]
    return _to_bytes(np.stack(channels, axis=-1))


def _blur(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    return _to_bytes(blurred(image, rng.uniform(0.5, 1.5)))


def _sharpen_or_contrast(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.5:
        return _to_bytes(image + rng.uniform(0.2, 0.5) * (image - blurred(image, 1.0)))
    mean = image.mean()
    return _to_bytes(mean + rng.uniform(0.8, 1.2) * (image - mean))


def _recolour(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    hue, saturation, value = np.rint(rng.uniform(-1, 1, size=3) * (40 / 360 * 256, 30, 20)).astype(int)
    return recoloured(image, hue, saturation, value)


def _noise(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    deviation = np.sqrt(rng.uniform(10, 50))
    return _to_bytes(image + deviation * rng.standard_normal(image.shape, dtype=np.float32))


def _to_bytes(image: NDArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)
