"""From images to a feature matrix: the extractor.

A level's features are the global average of its map (method: Protocol).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from tqdm import tqdm

from gad_core import __version__
from gad_core.backbones import Backbone, Levels, get_backbone
from gad_core.cache import FeatureCache, entry_key
from gad_core.calibration import Calibration, calibrate
from gad_core.converted import kept_model
from gad_core.decoding import as_sources, cached_rows, decoded_batches
from gad_core.errors import InputError
from gad_core.execution import Execution, Precision, Runtime, choose_execution
from gad_core.extraction import StartFeatures, computed_rows, waited
from gad_core.fingerprint import calibration_sha256, fitted_weights, require_same_features
from gad_core.images import RESIZE_RULE, Source
from gad_core.runtime import (
    choose_device,
    computing,
    load_network,
    normalised,
    torch_features,
    torch_maps,
    whole_number,
)
from gad_core.stages import StageTimes, staged
from gad_core.threads import thread_count
from gad_core.weights import NAMED, Weights, WeightsFile, named_weights, resolve_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gad_core.openvino_runtime import CompiledNetwork

T = TypeVar("T")

CALIBRATION_IMAGES = 32
"""How many training images calibrate the batch norms of random weights."""

CALIBRATION_BATCH = 8
"""Largest batch in calibration; fixed, so that the result does not depend on `batch_size`."""

SMALLEST_SIZE = 32
"""Smallest input in pixels: every network here halves its maps five times."""


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """Turn images into globally averaged features of a pretrained network.

    Parameters
    ----------
    backbone : str
        A name in `gad_core.backbones.BACKBONES`.
    weights : {"imagenet", "embedded", "random"}, path-like or None
        torchvision's ImageNet weights (downloaded once), those of the backbone "embedded" (they ship with the
        package), random ones, or a safetensors or state-dict file. None: the backbone's own pretrained ones.
    levels : int, iterable of int, or None
        Levels in ascending order, from 1; None for all that the network has.
    size : int or None
        Side of the network's input in pixels; None for the network's own.
    device : str
        ``"auto"`` (CUDA, else MPS, else the CPU) or a name that torch knows.
    runtime : {"auto", "torch", "openvino"}
        What runs the network. ``"auto"`` is OpenVINO on CPUs if it is installed (``gad-core[fast]``), where
        it is about twice as fast, and torch for GPUs and random weights.
    precision : {"auto", "fp32", "tf32", "bf16"}
        Numbers that the network computes with; ``"auto"`` is float32. The others are faster on some machines,
        and give other features: see `gad_core.execution.choose_execution`.
    batch_size : int
        Images in one pass of the network.
    cache : {None, "auto"} or path-like
        Folder in which the features of each image are kept; ``"auto"`` is one in the user's cache folder, or
        that of the environment variable GAD_CACHE; None keeps nothing.
    progress : bool or None
        Whether to show a progress bar on stderr; None shows it if stderr is a terminal.
    seed : int
        Seed of random weights.

    Attributes
    ----------
    calibration_ : dict of str to float32 array
        Running statistics of the batch norms of random weights, after `fit`.

    Notes
    -----
    Features of one image can differ in the last digits of float32 with runtime and device, and in torch with
    the batch size. Maps and gradients are always float32.

    Examples
    --------
    >>> extractor = FeatureExtractor("squeezenet1_1", weights="random", levels=[1, 2], size=64)
    >>> extractor.level_widths
    {1: 64, 2: 128}
    >>> extractor.transform([np.zeros((80, 60), dtype=np.uint8)]).shape
    (1, 192)
    """

    # No parameters, so not set in the constructor: the loaded network, the compiled ones and the hashed file,
    # with their keys; and the clocks while a block is profiled.
    _network: tuple[object, Any] | None = None
    _compiled: tuple[object, dict[bool, Any]] | None = None
    _times: StageTimes | None = None
    _file: tuple[object, WeightsFile] | None = None

    def __init__(
        self,
        backbone: str = "efficientnet_b4",
        weights: Weights = None,
        levels: Levels = None,
        *,
        size: int | None = None,
        device: str = "auto",
        runtime: Runtime = "auto",
        precision: Precision = "auto",
        batch_size: int = 8,
        cache: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        seed: int = 0,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.levels = levels
        self.size = size
        self.device = device
        self.runtime = runtime
        self.precision = precision
        self.batch_size = batch_size
        self.cache = cache
        self.progress = progress
        self.seed = seed

    @classmethod
    def from_fingerprint(
        cls,
        fingerprint: Mapping[str, Any],
        *,
        calibration: Calibration | None = None,
        weights: Weights = None,
        **options: Any,
    ) -> FeatureExtractor:
        """Make the extractor of the features that a model was fitted with.

        Parameters
        ----------
        fingerprint : mapping
            From `fingerprint`.
        calibration : mapping or None
            The ``calibration_`` of the extractor that it came from, if it had one.
        weights : {"imagenet", "embedded", "random"}, path-like or None
            As in the constructor, but None takes those of the fingerprint: the same file, if it is there.
        **options
            ``device``, ``runtime``, ``batch_size``, ``cache`` and ``progress``.

        Returns
        -------
        FeatureExtractor
            Its fingerprint describes the same features.

        Raises
        ------
        InputError
            If the weights are others, or were moved and are not given.
        """
        extractor = cls(
            fingerprint["backbone"],
            fitted_weights(fingerprint) if weights is None else weights,
            tuple(fingerprint["levels"]),
            size=fingerprint["size"],
            seed=fingerprint["seed"] or 0,
            precision=fingerprint.get("precision", "fp32"),
            **options,
        ).set_calibration(calibration or None)
        require_same_features(fingerprint, extractor.fingerprint())
        return extractor

    @property
    def level_widths(self) -> dict[int, int]:
        """Number of columns of each level, in the order of the columns."""
        return get_backbone(self.backbone).level_widths(self.levels)

    @property
    def input_size(self) -> int:
        """Side of the network's input in pixels."""
        size = get_backbone(self.backbone).input_size if self.size is None else self.size
        return whole_number(size, "size", SMALLEST_SIZE)

    def get_feature_names_out(
        self,
        input_features: object = None,  # noqa: ARG002 - scikit-learn passes it
    ) -> NDArray[np.object_]:
        """Name the columns ``level1_channel0``, ``level1_channel1`` and so on."""
        widths = self.level_widths.items()
        return np.array([f"level{n}_channel{i}" for n, width in widths for i in range(width)], dtype=object)

    def fit(
        self,
        X: object,
        y: object = None,  # noqa: ARG002 - scikit-learn passes it
    ) -> FeatureExtractor:
        """Calibrate the batch norms of random weights; with other weights there is nothing to do.

        Parameters
        ----------
        X : path-like, array, or sequence of them
            Training images; the first 32 are used.
        y : None
            Ignored.

        Returns
        -------
        FeatureExtractor
            The extractor itself.
        """
        self.set_calibration(None)
        if not self._needs_calibration():
            return self
        sources = as_sources(X)[:CALIBRATION_IMAGES]
        device = choose_device(self.device)
        # Batches of nearly equal size, so that the average over batches is one over images.
        count = -(-len(sources) // CALIBRATION_BATCH)
        batches = [part.tolist() for part in np.array_split(np.arange(len(sources)), count)]
        network = load_network(*self._network_choice(), None, device)
        decoded = decoded_batches(sources, batches, self.input_size, with_digests=False)
        with computing(device):
            self.calibration_ = calibrate(network, (normalised(images, device) for _, images, _ in decoded))
        return self

    def set_calibration(self, calibration: Calibration | None) -> FeatureExtractor:
        """Restore the statistics that `fit` found, so that no images are needed.

        Parameters
        ----------
        calibration : mapping of str to float32 array, or None
            A former ``calibration_``; None forgets it.

        Returns
        -------
        FeatureExtractor
            The extractor itself.
        """
        if hasattr(self, "calibration_"):
            del self.calibration_
        if calibration is not None:
            self.calibration_ = {k: np.array(v, dtype=np.float32) for k, v in calibration.items()}
        return self

    def transform(self, X: object) -> NDArray[np.float32]:
        """Compute the features of images.

        Parameters
        ----------
        X : path-like, array, or sequence of them
            Images as `gad_core.images.read_image` takes them.

        Returns
        -------
        (n, p) float32 array
            One image a row; the columns are the levels in ascending order.

        Raises
        ------
        InputError
            If there is no image, or one cannot be read or gives features that are not finite. What was
            computed before is in the cache, as it is after an interrupt.
        """
        sources = as_sources(X)
        columns, cache = self._columns(), self.open_cache()
        rows = np.empty((len(sources), int(columns.sum())), dtype=np.float32)
        hidden = None if self.progress is None else not self.progress  # tqdm: None hides it off a terminal
        with tqdm(total=len(sources), desc="features", unit="image", disable=hidden) as bar:
            for i, features in self._each(sources, len(columns), cache):
                rows[i] = features[columns]
                bar.update()
        return rows

    def maps(self, X: object) -> Iterator[dict[int, NDArray[np.float32]]]:
        """Compute the maps whose averages are the features, batch by batch.

        Parameters
        ----------
        X : path-like, array, or sequence of them
            As in `transform`.

        Yields
        ------
        dict of int to (b, c, h, w) float32 array
            The map of each level, for the next b <= `batch_size` images.
        """

        def as_arrays(maps: dict[int, Tensor]) -> dict[int, NDArray[np.float32]]:
            return {level: values.cpu().contiguous().numpy() for level, values in maps.items()}

        return self.each_batch(X, as_arrays)

    def each_batch(self, X: object, reduce: Callable[[dict[int, Tensor]], T]) -> Iterator[T]:
        """Compute the maps of images and hand over what a function makes of them, batch by batch.

        Maps are large: the function sees them where they were computed, on the GPU if there is one.

        Parameters
        ----------
        X : path-like, array, or sequence of them
            As in `transform`.
        reduce : callable
            Given the map of each level, a (b, c, h, w) torch.Tensor, for the next b <= `batch_size` images.

        Yields
        ------
        object
            What `reduce` returns for each batch.
        """
        sources, levels = as_sources(X), tuple(self.level_widths)
        device, start = self._start_maps()
        batches = self._batches(range(len(sources)))
        decoded = decoded_batches(sources, batches, self.input_size, with_digests=False)
        for maps in waited(start(images) for _, images, _ in decoded):
            with computing(device):
                found = reduce({level: maps[level - 1] for level in levels})
            yield found

    def load_network(self) -> tuple[Any, nn.Module]:
        """Load the network up to the deepest level, or return the loaded one.

        Returns
        -------
        device : torch.device
            Where it is.
        network : torch.nn.Module
            Gives the list of maps from level 1 for normalised images (see `gad_core.runtime.normalised`).
        """
        device, choice = choose_device(self.device), self._network_choice()
        calibration = self._calibration()
        key = (*choice, calibration_sha256(calibration), str(device))
        if self._network is None or self._network[0] != key:
            self._network = (key, load_network(*choice, calibration, device))
        return device, self._network[1]

    @contextlib.contextmanager
    def profiled(self) -> Iterator[StageTimes]:
        """Measure where the time goes in `transform`, inside the block.

        Yields
        ------
        StageTimes
            Clocks of reading and hashing, decoding, resizing, the network and pooling.
        """
        self._times, self._compiled = StageTimes(), None
        try:
            yield self._times
        finally:
            self._times = self._compiled = None

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that decides the features, as JSON can write it; for saved models.

        Returns
        -------
        dict
            Backbone, weights and their sha256, levels, size, resize rule, seed and calibration of random
            weights, runtime and precision, version of gad_core. `require_same_features` compares two of them.
        """
        file, calibration = self._weights_file(), self._calibration()
        weights = named_weights(self.weights, get_backbone(self.backbone))
        return {
            "backbone": self.backbone,
            "weights": str(weights) if weights in NAMED else str(Path(weights).resolve()),
            "weights_sha256": None if file is None else file.sha256,
            "levels": list(self.level_widths),
            "size": self.input_size,
            "resize": RESIZE_RULE,
            "seed": self.seed if file is None else None,
            "calibration_sha256": calibration_sha256(calibration),
            **dataclasses.asdict(self.execution()),
            "gad_core": __version__,
        }

    def __getstate__(self) -> dict[str, Any]:
        # The network is large, and loaded again when needed.
        left_out = ("_network", "_compiled", "_times")
        return {name: value for name, value in super().__getstate__().items() if name not in left_out}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = self._needs_calibration()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "calibration_") or not self._needs_calibration()

    def _needs_calibration(self) -> bool:
        return get_backbone(self.backbone).batch_norm and self.weights == "random"

    def _calibration(self) -> Calibration | None:
        if not self._needs_calibration():
            return None
        if not hasattr(self, "calibration_"):
            raise InputError(
                f"{self.backbone} with random weights must be calibrated first: call fit with training images"
            )
        return self.calibration_

    def execution(self) -> Execution:
        """Decide what runs the network: see `gad_core.execution.choose_execution`."""
        random = self.weights == "random"
        return choose_execution(self.device, self.runtime, self.precision, random_weights=random)

    def _weights_file(self) -> WeightsFile | None:
        key = (self.backbone, self.weights if self.weights is None else str(self.weights))
        if self._file is None or self._file[0] != key or not self._file[1].is_unchanged():
            file = resolve_weights(self.weights, get_backbone(self.backbone))
            self._file = None if file is None else (key, file)
        return None if self._file is None else self._file[1]

    def _network_choice(self) -> tuple[Backbone, int, WeightsFile | None, int]:
        seed = whole_number(self.seed, "seed", 0)
        return get_backbone(self.backbone), max(self.level_widths), self._weights_file(), seed

    def _columns(self) -> NDArray[np.bool_]:
        """Mark the asked levels' columns among those of all levels up to the deepest."""
        widths, asked = get_backbone(self.backbone).widths, self.level_widths
        return np.concatenate([np.full(widths[i], i + 1 in asked) for i in range(max(asked))])

    def _recipe(self) -> dict[str, Any]:
        """Give what decides a cache entry besides the image: it holds all levels up to the deepest."""
        ignored = ("weights", "levels", "gad_core")
        recipe = {key: value for key, value in self.fingerprint().items() if key not in ignored}
        # torch draws the random weights, and another version may draw others.
        torch = importlib.metadata.version("torch") if self.weights == "random" else None
        # What else than float32 is rounded where, each kind of device decides.
        full = recipe["precision"] == "fp32" or recipe["runtime"] == "openvino"
        device = None if full else choose_device(self.device).type
        return {**recipe, "torch": torch, "device": device, "depth": max(self.level_widths)}

    def open_cache(self) -> FeatureCache | None:
        """Give the cache that `cache` names, or None without one."""
        if self.cache is None:
            return None
        return FeatureCache(None if self.cache == "auto" else self.cache)

    def _each(
        self, sources: Sequence[Source], width: int, cache: FeatureCache | None
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Give the position and all levels' features of each image, those in the cache first."""
        if cache is None:
            for i, features, _ in self._computed(sources, range(len(sources)), with_digests=False):
                yield i, features
            return
        recipe, missing = self._recipe(), []
        for i, cached in enumerate(cached_rows(cache, sources, recipe, width)):
            if cached is None:
                missing.append(i)
            else:
                yield i, cached
        if missing:  # else torch is not even imported
            cache.require_writable()
            for i, features, digest in self._computed(sources, missing, with_digests=True):
                cache.put(entry_key(digest, recipe), features)
                yield i, features

    def _computed(
        self, sources: Sequence[Source], positions: Sequence[int], *, with_digests: bool
    ) -> Iterator[tuple[int, NDArray[np.float32], str]]:
        """Decode images and run the network on them: position, all levels' features, digest of each."""
        start, batches = self._start_features(), self._batches(positions)
        yield from computed_rows(
            sources, batches, self.input_size, start, with_digests=with_digests, times=self._times
        )

    def _start_features(self) -> StartFeatures:
        execution = self.execution()
        if execution.runtime == "torch":
            with staged(self._times, "loading"):
                device, network = self.load_network()
            return torch_features(network, device, execution.precision, self._times)
        with staged(self._times, "loading"):
            compiled = self._compile(with_maps=False)

        def start(images: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
            wait = compiled.start(images)
            return lambda: wait()[0]

        return start

    def _start_maps(self) -> tuple[Any, Callable[[NDArray[np.uint8]], Callable[[], list[Tensor]]]]:
        """Give a device, and the function that starts to compute the maps of a batch on it."""
        if self.execution().runtime == "torch":
            device, network = self.load_network()
            return device, torch_maps(network, device)
        import torch

        compiled = self._compile(with_maps=True)

        def start(images: NDArray[np.uint8]) -> Callable[[], list[Tensor]]:
            wait = compiled.start(images)
            return lambda: [torch.from_numpy(maps) for maps in wait()]

        return torch.device("cpu"), start

    def _compile(self, *, with_maps: bool) -> CompiledNetwork:
        from gad_core.openvino_kernels import blocked_kernels_known
        from gad_core.openvino_runtime import CompiledNetwork, convert

        def converted() -> Any:
            network = load_network(*self._network_choice(), self._calibration(), choose_device("cpu"))
            return convert(network, self.input_size, with_maps=with_maps)

        cache, recipe = self.open_cache(), self._recipe()
        key = (recipe, thread_count())
        if self._compiled is None or self._compiled[0] != key:
            self._compiled = (key, {})
        if with_maps not in self._compiled[1]:
            if cache is not None:
                cache.require_writable()
            folder = None if cache is None else cache.folder / "networks"
            graph = {k: v for k, v in recipe.items() if k not in ("runtime", "precision", "device")}
            graph |= {"with_maps": with_maps, "blocked": blocked_kernels_known()}
            model = kept_model(folder, graph, converted)
            precision = "fp32" if with_maps else self.execution().precision
            self._compiled[1][with_maps] = CompiledNetwork(model, precision, self._times)
        return self._compiled[1][with_maps]

    def _batches(self, positions: Sequence[int]) -> list[Sequence[int]]:
        b = whole_number(self.batch_size, "batch_size", 1)
        return [positions[start : start + b] for start in range(0, len(positions), b)]
