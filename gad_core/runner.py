"""Running the network that gives features, in torch or OpenVINO; what was loaded or compiled is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gad_core.cache import FeatureCache
from gad_core.calibration import calibrate
from gad_core.decoding import decoded_batches
from gad_core.extraction import StartFeatures
from gad_core.feature_spec import FeatureSpec
from gad_core.fingerprint import calibration_sha256
from gad_core.images import Source
from gad_core.runtime import (
    choose_device,
    computing,
    load_network,
    normalised,
    torch_features,
    torch_maps,
)
from gad_core.stages import StageTimes, staged
from gad_core.threads import thread_count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gad_core.openvino_runtime import CompiledNetwork

CALIBRATION_BATCH = 8
"""Largest batch in calibration; fixed, so that the result does not depend on an extractor's `batch_size`."""


def found_calibration(spec: FeatureSpec, sources: Sequence[Source]) -> dict[str, NDArray[np.float32]]:
    """Find the statistics of the batch norms of a random network on images, in torch.

    Parameters
    ----------
    spec : FeatureSpec
        Its own calibration is left aside.
    sources : sequence of path-like or array
        The images.

    Returns
    -------
    dict of str to float32 array
        As from `gad_core.calibration.calibrate`.
    """
    device = choose_device(spec.device)
    # Batches of nearly equal size, so that the average over batches is one over images.
    count = -(-len(sources) // CALIBRATION_BATCH)
    batches = [part.tolist() for part in np.array_split(np.arange(len(sources)), count)]
    network = load_network(*spec.network(), None, device)
    decoded = decoded_batches(sources, batches, spec.size, with_digests=False)
    with computing(device):
        return calibrate(network, (normalised(images, device) for _, images, _ in decoded))


class NetworkRunner:
    """Runs networks; the one loaded last and those compiled last are kept for the next images.

    Attributes
    ----------
    times : StageTimes or None
        Clocks of the stages, while a block is profiled.
    """

    def __init__(self) -> None:
        self.times: StageTimes | None = None
        # With their keys: what they were made from.
        self._network: tuple[object, Any] | None = None
        self._compiled: tuple[object, dict[bool, Any]] | None = None

    def load(self, spec: FeatureSpec) -> tuple[Any, nn.Module]:
        """Load the torch network up to the deepest level, or return the loaded one, with its device."""
        device, choice = choose_device(spec.device), spec.network()
        key = (*choice, calibration_sha256(spec.calibration), str(device))
        if self._network is None or self._network[0] != key:
            self._network = (key, load_network(*choice, spec.calibration, device))
        return device, self._network[1]

    @contextlib.contextmanager
    def profiled(self) -> Iterator[StageTimes]:
        """Measure where the time goes, inside the block; what was compiled without clocks is forgotten."""
        self.times, self._compiled = StageTimes(), None
        try:
            yield self.times
        finally:
            self.times = self._compiled = None

    def start_features(self, spec: FeatureSpec, cache: FeatureCache | None) -> StartFeatures:
        """Give the function that starts to compute the features of a batch; compiled networks are kept."""
        if spec.execution.runtime == "torch":
            with staged(self.times, "loading"):
                device, network = self.load(spec)
            return torch_features(network, device, spec.execution.precision, self.times)
        with staged(self.times, "loading"):
            compiled = self.compile(spec, cache, with_maps=False)

        def start(images: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
            wait = compiled.start(images)
            return lambda: wait()[0]

        return start

    def start_maps(
        self, spec: FeatureSpec, cache: FeatureCache | None
    ) -> tuple[Any, Callable[[NDArray[np.uint8]], Callable[[], list[Tensor]]]]:
        """Give a device, and the function that starts to compute the maps of a batch on it."""
        if spec.execution.runtime == "torch":
            device, network = self.load(spec)
            return device, torch_maps(network, device)
        import torch

        compiled = self.compile(spec, cache, with_maps=True)

        def start(images: NDArray[np.uint8]) -> Callable[[], list[Tensor]]:
            wait = compiled.start(images)
            return lambda: [torch.from_numpy(maps) for maps in wait()]

        return torch.device("cpu"), start

    def compile(self, spec: FeatureSpec, cache: FeatureCache | None, *, with_maps: bool) -> CompiledNetwork:
        """Compile the network for OpenVINO, or take the one compiled before, here or in the cache."""
        recipe = spec.recipe()
        key = (recipe, thread_count())
        if self._compiled is None or self._compiled[0] != key:
            self._compiled = (key, {})
        if with_maps not in self._compiled[1]:
            if cache is not None:
                cache.require_writable()
            folder = None if cache is None else cache.folder / "networks"
            self._compiled[1][with_maps] = self._kept_or_compiled(spec, recipe, folder, with_maps)
        return self._compiled[1][with_maps]

    def _kept_or_compiled(
        self, spec: FeatureSpec, recipe: Mapping[str, object], folder: Path | None, with_maps: bool
    ) -> CompiledNetwork:
        from gad_core.network_cache import kept_network
        from gad_core.openvino_graph import convert, quicker_in_blocks
        from gad_core.openvino_runtime import CompiledNetwork

        precision = "fp32" if with_maps else spec.execution.precision
        in_blocks = spec.backbone.in_blocks and quicker_in_blocks(precision)
        options = {"with_maps": with_maps, "in_blocks": in_blocks}

        def compiled() -> CompiledNetwork:
            network = load_network(*spec.network(), spec.calibration, choose_device("cpu"))
            return CompiledNetwork.compile(convert(network, spec.size, **options), precision, self.times)

        decides = {k: v for k, v in recipe.items() if k not in ("runtime", "device")}
        return kept_network(
            folder,
            {**decides, **options, "precision": precision},
            compiled,
            lambda content: CompiledNetwork.imported(content, precision, self.times),
        )
