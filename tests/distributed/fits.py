"""What the tests of distributed fits share: a small extractor, detectors, and their numbers."""

import os

import numpy as np

import gad_core as gad
from gad_core.distributed.partition import BLOCK
from gad_core.features import FeatureExtractor
from gad_core.images import load_image

N = 4 * BLOCK + 30

NETWORK = ["--backbone", "squeezenet1_1", "--weights", "random", "--levels", "1-2"]
FIT = ["fit", *NETWORK, "--quiet", "--no-cache"]
"""The command, but for its images and its outputs."""


class Colours(FeatureExtractor):
    """Gives the mean of each colour, on workers that have no network to load."""

    @property
    def level_widths(self):
        return {1: 3}

    def fingerprint(self):
        return {"runtime": "none"}

    def transform(self, X):
        return np.stack([load_image(image, self.input_size).mean((0, 1), dtype=np.float32) for image in X])


DEADLY = b"deadly"
"""Content of a file that ends the process that decodes it, where `stub_decoder` is in effect."""

STUB = """
import os
from PIL import Image

plain = Image.open

def stub(file, *args, **options):
    if file.getvalue() == b"deadly":
        os._exit(9)
    return plain(file, *args, **options)

Image.open = stub
"""


def stub_decoder(folder, patch):
    """Let a stub decoder take the place of the real one in all processes that are started from now on."""
    (folder / "sitecustomize.py").write_text(STUB)
    patch.syspath_prepend(folder)  # for those that are given this process's path
    patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def extractor(**options):
    return FeatureExtractor(
        "squeezenet1_1", weights="random", levels=[1, 5], size=32, progress=False, **options
    )


def detector(**options):
    return gad.GaussianDetector(extractor().level_widths, **options)


def state(fitted):
    """All numbers of a fitted detector."""
    arrays = {"threshold": np.array(fitted.threshold_)}
    if fitted.threshold != "chi2":
        arrays["distances"] = fitted.calibration_distances_
    for level, g in fitted.gaussians_.items():
        arrays |= {f"{level}/{name}": np.asarray(value) for name, value in vars(g).items()}
    return arrays


def assert_same_bits(got, expected):
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
