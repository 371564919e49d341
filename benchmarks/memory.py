"""Peak memory of whole processes: it must not grow with the number of images."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.extraction import SHARED_WEIGHTS, write_images
from benchmarks.scheduler import COUNTS, peaks
from gad_core.execution import openvino_installed

FIT_AND_SCORE = """
import sys
from pathlib import Path
from gad_core import FeatureExtractor, GaussianDetector
name, weights, depth, size, count, cache, *paths = sys.argv[1:]
paths = (paths * (int(count) // len(paths) + 1))[:int(count)]
extractor = FeatureExtractor(name, weights, range(1, int(depth) + 1), size=int(size) or None, progress=False,
                             cache=cache or None)
X = extractor.fit(paths).transform(paths)
detector = GaussianDetector(extractor.level_widths, threshold="chi2").fit(X)
assert len(detector.predict(X)) == len(paths)
# Not ru_maxrss: it starts with the peak of the process that started this one.
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def peak_mebibytes(
    name: str, weights: str, depth: int, size: int, count: int, paths: list[Path], cache: str = ""
) -> float:
    """Fit and score `count` images (the files repeated) in a fresh process; give its peak resident memory."""
    command = [sys.executable, "-c", FIT_AND_SCORE, name, weights, str(depth), str(size), str(count), cache]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 2**10


def memory() -> Iterator[tuple[str, str, str]]:
    """Give what was run, its peak and the bound."""
    weights = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
    given = str(weights) if weights.is_file() else "random"
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), 16, 380)
        b4 = peak_mebibytes("efficientnet_b4", given, 7, 0, 48, paths)
        yield "efficientnet_b4 levels 1-7, 380 px, 48 images", f"{b4:.0f} MiB", "below 1536 MiB"
        if given != "random" and openvino_installed():
            for _ in range(2):  # the first run keeps the compiled network, and other images are new
                paths = write_images(Path(folder), 16, 380, seed=len(list(Path(folder).iterdir())))
                b4 = peak_mebibytes("efficientnet_b4", given, 7, 0, 48, paths, f"{folder}/cache")
            yield "the same, second run, network kept", f"{b4:.0f} MiB", "below 1536 MiB"
        few = peak_mebibytes("squeezenet1_1", "random", 9, 64, 100, paths)
        many = peak_mebibytes("squeezenet1_1", "random", 9, 64, 5000, paths)
        features = 5000 * sum((64, 128, 128, 256, 256, 384, 384, 512, 512)) * 4 / 2**20
        yield "squeezenet1_1, 64 px, 100 images", f"{few:.0f} MiB", ""
        yield (
            "squeezenet1_1, 64 px, 5,000 images",
            f"{many:.0f} MiB",
            f"the same and three copies of the {features:.0f} MiB of features",
        )
    for count in COUNTS:
        found = peaks(count)
        yield (
            f"scheduler of a distributed fit, {count:,} images",
            f"{found.scheduler:.0f} MiB",
            "the same for every number from 16,384 on" if count == max(COUNTS) else "",
        )
        yield f"the process that asks for it, {count:,} images", f"{found.client:.0f} MiB", ""
