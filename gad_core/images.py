"""Read image files strictly: refused if damaged, nothing is padded or guessed."""

from __future__ import annotations

import io
import os
import stat
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from gad_core.errors import InputError
from gad_core.resize import resize_bilinear

Source = str | os.PathLike[str] | NDArray
"""An image: the path of a file, or an array as `read_image` takes it."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
"""Suffixes, in lower case, of the files that count as images."""

MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's red, green and blue, for values in [0, 1]."""

STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, for values in [0, 1]."""

MAX_PIXELS = 2**26
"""Largest image that is decoded; a small damaged or hostile file can claim far more and fill the memory."""

# Only decoders of these formats get to see a file: Pillow has others that run external programs.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_EIGHT_BIT = {"RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr"}
_SIXTEEN_BIT = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_PNG_END = b"IEND\xaeB`\x82"


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the image files that lie directly in a folder.

    Parameters
    ----------
    folder : path-like
        The folder; its subfolders are not searched.

    Returns
    -------
    list of pathlib.Path
        Sorted by name. Files count by their suffix in any case; hidden files are left out.

    Raises
    ------
    InputError
        If the folder does not exist, is a file, or has no image.
    """
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; give the path of a folder of images")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder; give the folder that holds the images")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error
    found = [path for path in entries if not (path.name.startswith(".") or _skipped_as(path))]
    if not found and any(path.is_dir() for path in entries):
        raise InputError(
            f"{folder} has no image itself, and subfolders are not searched: give the folder of the images"
        )
    if not found:
        raise InputError(f"{folder} has no image ({', '.join(IMAGE_SUFFIXES)}); check the path")
    return found


def skipped_entries(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Count what lies in a folder beside its images, by the reason why `list_images` leaves it out.

    Parameters
    ----------
    folder : path-like
        A folder that `list_images` lists.

    Returns
    -------
    dict of str to int
        Number of ``"dangling links"``, ``"other suffixes"``, ``"pipes or devices"`` and ``"subfolders"``,
        those that are there. Hidden files do not count.
    """
    visible = (path for path in Path(folder).iterdir() if not path.name.startswith("."))
    return dict(sorted(Counter(filter(None, map(_skipped_as, visible))).items()))


def _skipped_as(path: Path) -> str:
    """Say as what an entry of a folder is left out; empty text for an image."""
    known = path.suffix.lower() in IMAGE_SUFFIXES
    if known and path.is_file():
        return ""
    if path.is_dir():
        return "subfolders"
    if not path.exists():
        return "dangling links"
    return "pipes or devices" if known else "other suffixes"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file's content, with an InputError that names the file if that is impossible.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    bytes
        Its content.
    """
    try:
        mode = Path(path).stat().st_mode  # before it is opened: opening a pipe waits for a writer
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{os.fspath(path)}: no such image file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{os.fspath(path)} is a folder; give the image files in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{os.fspath(path)} cannot be read ({reason}); check its permissions") from error
    raise InputError(f"{os.fspath(path)} is a pipe or a device; give a regular file")


def read_image(source: Source) -> NDArray[np.uint8]:
    """Read an image as 8-bit RGB, or refuse it; nothing is padded or guessed.

    Greyscale is repeated in the three channels; palettes, 1-bit and YCbCr images and CMYK (without colour
    profile) are converted to RGB; alpha is ignored; of 16-bit values the high byte is taken, as Pillow does
    for 16-bit colour PNG; the EXIF orientation is applied.

    Parameters
    ----------
    source : path-like or array
        An image file, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16 in RGB order.

    Returns
    -------
    (H, W, 3) uint8 array
        Red, green, blue. It may share memory with `source` if that is an array.

    Raises
    ------
    InputError
        If the file is missing, unreadable, no image, truncated, damaged, too large, has several frames or
        floating-point or other unusual pixels; if the array has another shape or type.

    Examples
    --------
    >>> read_image(np.zeros((2, 5), dtype=np.uint8)).shape
    (2, 5, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"an image must be a path or a numpy array, not {type(source).__name__}; convert it with "
            "numpy.asarray"
        )
    decoded = decode_image(read_bytes(source), os.fspath(source))
    return np.require(decoded, requirements="W")  # a caller may want to draw on it


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode the content of an image file; see `read_image`.

    Parameters
    ----------
    data : bytes
        The file's content.
    name : str
        What error messages call the image.

    Returns
    -------
    (H, W, 3) uint8 array
        Red, green, blue. It may be read-only.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise InputError(
            f"{name} is not read: PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, so Pillow would fill the "
            "missing part of a truncated image with grey; set it to False"
        )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check(image, name)
            image.load()
            if image.format == "PNG" and data.rfind(_PNG_END) < 0:  # from the end, where it is
                raise InputError(f"{name} is truncated: its end is missing; copy or export the file again")
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image, name)
    except InputError:
        raise
    except Image.UnidentifiedImageError:
        raise InputError(
            f"{name} is not an image that can be read ({', '.join(_FORMATS)}); remove it or save it as PNG"
        ) from None
    except Image.DecompressionBombError:
        raise InputError(_too_large(name)) from None
    except Exception as error:  # on damaged data the decoders raise any of a dozen types
        raise InputError(
            f"{name} is truncated or damaged ({error}); copy or export the file again"
        ) from error


def load_image(source: Source, size: int) -> NDArray[np.uint8]:
    """Read an image and resize it to a square: `read_image`, then `resize_bilinear`.

    Parameters
    ----------
    source : path-like or array
        As in `read_image`.
    size : int
        Side in pixels.

    Returns
    -------
    (size, size, 3) uint8 array
        Red, green, blue.
    """
    return resize_bilinear(read_image(source), size)


def _check(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(_too_large(name))
    frames = getattr(image, "n_frames", 1)
    # Phones save a JPEG with a preview or depth map behind it (MPO); its first frame is the photo.
    if frames > 1 and image.format != "MPO":
        raise InputError(f"{name} holds {frames} images; save each as a file of its own")


def _too_large(name: str) -> str:
    return f"{name} has more than {MAX_PIXELS / 1e6:.0f} million pixels; crop it or save it smaller"


def _to_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    # No copies: of a large image three cost about as much as its resize, mostly for fresh memory.
    if image.mode == "RGB":
        return np.asarray(image)
    if image.mode in _EIGHT_BIT:
        # Pillow warns about a palette with transparency unless it goes by way of RGBA.
        return np.asarray(image.convert("RGBA" if image.mode in ("P", "PA") else "RGB"))[:, :, :3]
    if image.mode not in _SIXTEEN_BIT:
        raise InputError(f'{name} has pixels of mode "{image.mode}"; save it as 8-bit or 16-bit PNG')
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise InputError(f"{name} has pixel values outside 0..65535; save it as 8-bit or 16-bit PNG")
    return _from_array(values.astype(np.uint16))


def _from_array(array: NDArray) -> NDArray[np.uint8]:
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    shape = array.shape
    colour = len(shape) == 3 and shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (len(shape) == 2 or colour) or 0 in shape:
        raise InputError(
            f"an image array must be (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16, not {shape} of "
            f"{array.dtype}; scale and convert it first"
        )
    if not colour:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])
