"""One method on one category, in a process of its own: prints one line of JSON.

    python -m benchmarks.peer_run METHOD NETWORK SIZE DATA CATEGORY [--limit N]

All methods read the same files from one MVTec-style folder and use the same weights. The fit goes from
nothing to a fitted model: importing the method's libraries, building (ours: compiling) the network,
decoding, resizing, running the network, fitting; ours also finds its threshold. Scoring goes from image
files to scores.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks.extraction import SHARED_WEIGHTS
from benchmarks.plain import plain_network
from gad_core import FeatureExtractor, GaussianDetector, MVTecDataset
from gad_core.backbones import BACKBONES
from gad_core.model_file import save_model

BATCH = 32
DEPTHS = {"resnet18": 4, "efficientnet_b4": 7, "embedded": len(BACKBONES["embedded"].widths)}
LAYERS = {
    # Maps at a fourth, an eighth and a sixteenth of the image's side.
    "resnet18": ["layer1", "layer2", "layer3"],
    "efficientnet_b4": ["features.2", "features.3", "features.5"],
}


class Model(Protocol):
    """What is measured of a method."""

    def fit(self, paths: Sequence[Path]) -> None:
        """Fit to normal images."""

    def score(self, paths: Sequence[Path]) -> np.ndarray:
        """Give an anomaly score for each image."""

    def saved_bytes(self, folder: Path) -> int:
        """Count the bytes on disk that scoring in a new process needs: fitted state and network."""


def weights_of(network: str) -> Path | None:
    """Find the network's weights in ../shared/weights; None where there are none."""
    return next(iter(sorted(SHARED_WEIGHTS.glob(f"{network}*.safetensors"))), None)


class Ours:
    """One Gaussian over all levels together."""

    def __init__(self, network: str, size: int) -> None:
        self.network, self.depth = network, DEPTHS[network]
        weights = None if network == "embedded" else weights_of(network) or self._random_weights()
        self.extractor = FeatureExtractor(
            network, weights, range(1, self.depth + 1), size=size, progress=False
        )

    def _random_weights(self) -> Path:
        """Write a fresh network as a file: the extractor would calibrate what it knows to be random."""
        from safetensors.torch import save_file

        self.folder = tempfile.TemporaryDirectory()  # lives as long as the model
        path = Path(self.folder.name) / f"{self.network}.safetensors"
        save_file(plain_network(self.network, None, self.depth).state_dict(), path)
        return path

    def fit(self, paths: Sequence[Path]) -> None:
        """Fit the extractor (nothing to do with given weights), the Gaussian and its threshold."""
        self.detector = GaussianDetector(self.extractor.level_widths, combine="joint")
        self.detector.fit(self.extractor.fit(paths).transform(paths))

    def score(self, paths: Sequence[Path]) -> np.ndarray:
        """Mahalanobis distances."""
        return -self.detector.score_samples(self.extractor.transform(paths))

    def saved_bytes(self, folder: Path) -> int:
        """Count the model file and the network's parameters."""
        save_model(folder / "model.safetensors", self.detector, self.extractor)
        network = plain_network(self.network, None, self.depth)
        parameters = sum(each.nbytes for each in network.state_dict().values())
        return (folder / "model.safetensors").stat().st_size + parameters


class Peer:
    """One of anomalib's torch models, used directly; scores are its own for whole images."""

    def __init__(self, method: str, network: str, size: int) -> None:
        import torch

        torch.manual_seed(0)  # of PaDiM's choice of features and PatchCore's first point
        backbone = plain_network(network, weights_of(network), DEPTHS[network])
        self.size, self.torch = size, torch
        self.model, self.finish = MODELS[method](backbone, LAYERS[network])

    def fit(self, paths: Sequence[Path]) -> None:
        """Collect embeddings batch by batch, then fit."""
        self.model.train()
        for images in batches(paths, self.size):
            self.model(images)
        self.finish()
        self.model.eval()

    def score(self, paths: Sequence[Path]) -> np.ndarray:
        """Scores in batches."""
        with self.torch.no_grad():
            found = [self.model(images).pred_score.flatten() for images in batches(paths, self.size)]
        return self.torch.cat(found).numpy()

    def saved_bytes(self, folder: Path) -> int:
        """Count the file of the model's state, which holds the network."""
        self.torch.save(self.model.state_dict(), folder / "state")
        return (folder / "state").stat().st_size


def _padim(backbone: Any, layers: list[str]) -> tuple[Any, Callable[[], None]]:
    from anomalib.models.image.padim.torch_model import PadimModel

    model = PadimModel(backbone, layers, pre_trained=False, n_features=100)
    return model, model.fit


def _patchcore(backbone: Any, layers: list[str]) -> tuple[Any, Callable[[], None]]:
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel(layers[1:], backbone, pre_trained=False)
    return model, lambda: model.subsample_embedding(0.01)


def _dfm(backbone: Any, layers: list[str]) -> tuple[Any, Callable[[], None]]:
    from anomalib.models.image.dfm.torch_model import DFMModel

    model = DFMModel(backbone, layers[-1], pre_trained=False)
    return model, model.fit


MODELS = {"PaDiM": _padim, "PatchCore 1 %": _patchcore, "DFM": _dfm}


def batches(paths: Sequence[Path], size: int) -> Iterator[Any]:
    """Decode, resize and normalise in threads, one batch ahead of the network."""
    import torch
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize((size, size), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    groups = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor() as pool:

        def started(group: Sequence[Path]) -> list[Any]:
            return [pool.submit(lambda p: transform(Image.open(p).convert("RGB")), path) for path in group]

        waiting = started(groups[0])
        for following in [*groups[1:], []]:
            images = torch.stack([each.result() for each in waiting])
            waiting = started(following)
            yield images


def measure(build: Callable[[], Model], data: MVTecDataset, limit: int | None = None) -> dict[str, float]:
    """Build, fit, score and save; `limit` takes that many images, evenly spread, of either split."""
    train, (test, labels) = limited(data.train.paths, limit), limited_test(data, limit)
    start = time.perf_counter()
    model = build()
    model.fit(train)
    fitted = time.perf_counter()
    scores = model.score(test)
    scored = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
    with tempfile.TemporaryDirectory() as folder:
        saved = model.saved_bytes(Path(folder))
    return {
        "fit_s": fitted - start,
        "score_ms": 1e3 * (scored - fitted) / len(test),
        "peak_mb": peak / 1e6,
        "state_mb": saved / 1e6,
        "auroc": float(roc_auc_score(labels, scores)),
    }


def limited(items: Sequence[Any], limit: int | None) -> list[Any]:
    """Take at most `limit` items, evenly spread from first to last."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).astype(int)]


def limited_test(data: MVTecDataset, limit: int | None) -> tuple[list[Path], list[int]]:
    """Test images and their labels; a limit takes half of each label."""
    pairs = list(zip(data.test.paths, data.test.labels.tolist(), strict=True))
    chosen = [
        pair
        for label in (0, 1)
        for pair in limited([p for p in pairs if p[1] == label], limit and -(-limit // 2))
    ]
    return [path for path, _ in chosen], [label for _, label in chosen]


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    found.add_argument("method", choices=["gad_core", *MODELS])
    found.add_argument("network", choices=list(DEPTHS))
    found.add_argument("size", type=int)
    found.add_argument("data", type=Path)
    found.add_argument("category")
    found.add_argument("--limit", type=int)
    return found


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    args = parser().parse_args(arguments)
    data = MVTecDataset(args.data, args.category)
    rest = (args.network, args.size)
    build = (lambda: Ours(*rest)) if args.method == "gad_core" else (lambda: Peer(args.method, *rest))
    print(json.dumps(measure(build, data, args.limit)))


if __name__ == "__main__":
    main(sys.argv[1:])
