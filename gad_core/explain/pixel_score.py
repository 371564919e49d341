"""A detector's distance as a function of the pixels that the network gets, with its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gad_core.decoding import as_sources
from gad_core.detector import GaussianDetector
from gad_core.explain.maps import distance_gradient
from gad_core.features import FeatureExtractor
from gad_core.fingerprint import check_extractor
from gad_core.images import load_image
from gad_core.runtime import computing, normalised

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class PixelScore:
    """A detector's distance as a function of the network's input that can be differentiated.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    network : callable
        From (b, c, s, s) inputs to the list of the maps of all levels from 1, in evaluation mode.
    levels : sequence of int
        The levels whose averages are the detector's columns.
    device : torch.device
        Where the network is.
    batch_size : int
        Inputs in one pass.
    """

    detector: GaussianDetector
    network: Callable[[Tensor], Sequence[Tensor]]
    levels: Sequence[int]
    device: torch.device
    batch_size: int = 8

    @classmethod
    def of(cls, detector: GaussianDetector, extractor: FeatureExtractor) -> PixelScore:
        """Score of a detector on the network of an extractor; InputError if they do not match."""
        check_extractor(detector, extractor)
        device, network = extractor.load_network()
        return cls(detector, network, tuple(extractor.level_widths), device, extractor.batch_size)

    def distances(self, inputs: Tensor) -> NDArray[np.float64]:
        """Distance M of inputs (b, c, s, s), (b,)."""
        found = []
        for batch in self._batches(inputs):
            with computing(self.device):
                found.append(self.detector.mahalanobis(self._features(batch).cpu().numpy()))
        return np.concatenate(found)

    def gradients(self, inputs: Tensor) -> tuple[NDArray[np.float64], Tensor]:
        """Distances of inputs (b, c, s, s), and their gradients with respect to these.

        The gradient with respect to the features is known in closed form and computed in float64; autograd
        only carries it on through the network.

        Parameters
        ----------
        inputs : (b, c, s, s) torch.Tensor
            As from `network_inputs`.

        Returns
        -------
        distances : (b,) array
            M of each.
        gradients : (b, c, s, s) torch.Tensor
            On the device, without a graph.
        """
        distances, gradients = zip(*map(self._differentiated, self._batches(inputs)), strict=True)
        import torch

        return np.concatenate(distances), torch.cat(gradients)

    def _differentiated(self, batch: Tensor) -> tuple[NDArray[np.float64], Tensor]:
        import torch

        with computing(self.device, gradients=True):
            batch = batch.detach().clone().requires_grad_()
            features = self._features(batch)
            values = features.detach().cpu().numpy()
            weights = distance_gradient(self.detector, values).astype(np.float32)
            (gradient,) = torch.autograd.grad(features, batch, torch.from_numpy(weights).to(features))
        return self.detector.mahalanobis(values), gradient

    def _features(self, inputs: Tensor) -> Tensor:
        import torch

        maps = self.network(inputs)
        return torch.cat([maps[level - 1].mean(dim=(2, 3)) for level in self.levels], dim=1)

    def _batches(self, inputs: Tensor) -> Iterator[Tensor]:
        for batch in inputs.split(self.batch_size):
            yield batch.to(self.device)


def network_inputs(extractor: FeatureExtractor, images: object) -> Tensor:
    """Read, resize and normalise images, on the extractor's device.

    Parameters
    ----------
    extractor : FeatureExtractor
        Its size and device are used.
    images : path-like, array, or sequence of them
        As in `FeatureExtractor.transform`.

    Returns
    -------
    (b, 3, s, s) float32 torch.Tensor
        What the network gets.
    """
    pixels = np.stack([load_image(source, extractor.input_size) for source in as_sources(images)])
    return normalised(pixels, extractor.load_network()[0])
