"""From images to a feature matrix: the extractor.

A level's features are the global average of its map (method: Protocol).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from tqdm import tqdm

from gad_core.backbones import Levels, get_backbone
from gad_core.cache import FeatureCache
from gad_core.calibration import Calibration
from gad_core.decoding import as_sources, decoded_batches
from gad_core.errors import InputError
from gad_core.execution import Execution, Precision, Runtime, choose_execution
from gad_core.extraction import Row, cached_or_computed_rows, computed_rows, meanwhile, waited
from gad_core.feature_spec import FeatureSpec
from gad_core.fingerprint import fitted_weights, require_same_features
from gad_core.images import Source
from gad_core.runner import NetworkRunner, found_calibration
from gad_core.runtime import computing, whole_number
from gad_core.stages import StageTimes
from gad_core.weights import Weights, WeightsFile, named_weights, resolve_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

CALIBRATION_IMAGES = 32
"""How many training images calibrate the batch norms of random weights."""

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

    # No parameters, so not set in the constructor: what runs the network, and the hashed file with its key.
    _runner: NetworkRunner | None = None
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
        self.calibration_ = found_calibration(self._uncalibrated_spec(), sources)
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
        spec = self._spec()
        columns = spec.columns()
        rows = np.empty((len(sources), int(columns.sum())), dtype=np.float32)
        hidden = None if self.progress is None else not self.progress  # tqdm: None hides it off a terminal
        with tqdm(total=len(sources), desc="features", unit="image", disable=hidden) as bar:
            for i, features in self._each(sources, spec):
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
        sources, spec = as_sources(X), self._spec()
        batches = self._batches(range(len(sources)))
        decoded = decoded_batches(sources, batches, spec.size, with_digests=False)
        load = partial(self._networks.start_maps, spec, self.open_cache())
        (device, start), ready = meanwhile(load, decoded)
        for maps in waited(start(images) for _, images, _ in ready):
            with computing(device):
                found = reduce({level: maps[level - 1] for level in spec.levels})
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
        return self._networks.load(self._spec())

    def profiled(self) -> AbstractContextManager[StageTimes]:
        """Measure where the time goes in `transform`, inside a ``with`` block.

        Returns
        -------
        context manager of StageTimes
            Clocks of reading and hashing, decoding, resizing, the network and pooling.
        """
        return self._networks.profiled()

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that decides the features, as JSON can write it; for saved models.

        Returns
        -------
        dict
            Backbone, weights and their sha256, levels, size, resize rule, seed and calibration of random
            weights, runtime and precision, version of gad_core. `require_same_features` compares two of them.
        """
        return self._spec().fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        # The network is large, and loaded again when needed.
        return {name: value for name, value in super().__getstate__().items() if name != "_runner"}

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

    def _spec(self) -> FeatureSpec:
        """Resolve the parameters, and check that random batch norms are calibrated."""
        return replace(self._uncalibrated_spec(), calibration=self._calibration())

    def _uncalibrated_spec(self) -> FeatureSpec:
        backbone = get_backbone(self.backbone)
        return FeatureSpec(
            backbone=backbone,
            levels=tuple(self.level_widths),
            weights=named_weights(self.weights, backbone),
            file=self._weights_file(),
            seed=self.seed,
            size=self.input_size,
            device=self.device,
            execution=self.execution(),
        )

    def open_cache(self) -> FeatureCache | None:
        """Give the cache that `cache` names, or None without one."""
        if self.cache is None:
            return None
        return FeatureCache(None if self.cache == "auto" else self.cache)

    @property
    def _networks(self) -> NetworkRunner:
        if self._runner is None:
            self._runner = NetworkRunner()
        return self._runner

    def _each(
        self, sources: Sequence[Source], spec: FeatureSpec
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Give the position and all levels' features of each image, those in the cache first."""
        cache, networks = self.open_cache(), self._networks

        def computed(positions: Sequence[int]) -> Iterator[Row]:
            load, batches = partial(networks.start_features, spec, cache), self._batches(positions)
            return computed_rows(
                sources, batches, spec.size, load, with_digests=cache is not None, times=networks.times
            )

        if cache is None:
            return ((i, features) for i, features, _ in computed(range(len(sources))))
        return cached_or_computed_rows(cache, sources, spec.recipe(), len(spec.columns()), computed)

    def _batches(self, positions: Sequence[int]) -> list[Sequence[int]]:
        b = whole_number(self.batch_size, "batch_size", 1)
        return [positions[start : start + b] for start in range(0, len(positions), b)]
