"""Run a network in OpenVINO: about twice as fast as torch on CPUs, with the same numbers.

Each image is one request, and the requests share the processors. So an image's features do not depend on the
batch that it came in, nor on the number of processors.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.openvino_graph import POOLING, instruction_sets
from gad_core.stages import StageTimes
from gad_core.threads import thread_count

MOST_STREAMS = 4
"""Most images that are computed side by side; each needs memory for its maps."""

_HINTS = {"fp32": "f32", "bf16": "bf16"}


def supports_bf16() -> bool:
    """Whether the processor has bfloat16 arithmetic that OpenVINO uses."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def processor() -> dict[str, Any]:
    """Describe the processor as far as a compiled network may depend on it.

    Returns
    -------
    dict
        Its name, what OpenVINO can do on it, and its instruction sets, as JSON can write it. Virtual
        machines with different processors can have the same name.
    """
    import openvino

    core = openvino.Core()
    return {
        "name": core.get_property("CPU", "FULL_DEVICE_NAME"),
        "capabilities": sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        "instruction_sets": instruction_sets(),
    }


class CompiledNetwork:
    """A network compiled for this machine's processors.

    Parameters
    ----------
    compiled : openvino.CompiledModel
        The network; see `compile` and `imported`.
    times : StageTimes or None
        Clocks; with them OpenVINO measures each operation, which makes it slightly slower.
    """

    _content: NDArray[np.uint8] | None = None

    def __init__(self, compiled: Any, times: StageTimes | None = None) -> None:
        self.times = times
        self._compiled = compiled
        self._shapes = [tuple(output.shape)[1:] for output in compiled.outputs]
        # Twice as many requests as streams, so that the next one is there when one is done.
        count = 2 * _streams()
        self._requests = [_Request(compiled.create_infer_request(), times) for _ in range(count)]
        self._next = 0
        self._lock = threading.RLock()  # of the ring: several threads may use one network

    @classmethod
    def compile(cls, model: Any, precision: str = "fp32", times: StageTimes | None = None) -> CompiledNetwork:
        """Compile a model.

        Parameters
        ----------
        model : openvino.Model
            From `gad_core.openvino_graph.convert`.
        precision : {"fp32", "bf16"}
            What it computes with.
        times : StageTimes or None
            Clocks.

        Returns
        -------
        CompiledNetwork
            The network.
        """
        import openvino

        return cls(openvino.Core().compile_model(model, "CPU", _options(precision, times)), times)

    @classmethod
    def imported(
        cls, content: NDArray[np.uint8], precision: str = "fp32", times: StageTimes | None = None
    ) -> CompiledNetwork:
        """Import what `exported` gave.

        Parameters
        ----------
        content : (n,) uint8 array
            By the same version of OpenVINO on the same kind of processor: OpenVINO notices some differences
            and some damages only, so the caller has to know.
        precision, times
            As in `compile`; the number of processors may be another.

        Returns
        -------
        CompiledNetwork
            The same network.

        Raises
        ------
        RuntimeError
            If OpenVINO refuses it.
        """
        import openvino

        tensor = openvino.Tensor(content, shared_memory=True)
        network = cls(openvino.Core().import_model(tensor, "CPU", _options(precision, times)), times)
        network._content = content  # the weights are used where they lie
        return network

    def exported(self) -> NDArray[np.uint8]:
        """Write the network down, for `imported`.

        Returns
        -------
        (n,) uint8 array
            For this version of OpenVINO and this kind of processor.
        """
        stream = io.BytesIO()
        self._compiled.export_model(stream)
        return np.frombuffer(stream.getbuffer(), dtype=np.uint8)

    def start(self, images: NDArray[np.uint8]) -> Callable[[], list[NDArray[np.float32]]]:
        """Start to compute on images.

        Parameters
        ----------
        images : (b, s, s, 3) uint8 array
            The images; they may be changed afterwards.

        Returns
        -------
        callable
            Waits and gives each output of the model, (b, ...).
        """
        outputs = [np.empty((len(images), *shape), dtype=np.float32) for shape in self._shapes]
        started = []
        with self._lock:
            for i, image in enumerate(images):
                request = self._requests[self._next]
                self._next = (self._next + 1) % len(self._requests)
                targets = [output[i : i + 1] for output in outputs]
                request.start(image[None], targets)
                started.append((request, targets))

        def wait() -> list[NDArray[np.float32]]:
            with self._lock:
                for request, targets in started:
                    if request.targets is targets:  # else it has been used again, and has handed these over
                        request.finish()
            return outputs

        return wait


def _options(precision: str, times: StageTimes | None) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": _streams(),
        "INFERENCE_NUM_THREADS": thread_count(),
        "ENABLE_CPU_PINNING": False,  # other processes, such as workers, may be on the same cores
        "PERF_COUNT": times is not None,
    }


def _streams() -> int:
    return min(thread_count(), MOST_STREAMS)


class _Request:
    """An asynchronous request that hands its outputs over before it is used again.

    Attributes
    ----------
    targets : list of float32 array or None
        Where its outputs go; None when they have been handed over.
    """

    def __init__(self, request: Any, times: StageTimes | None) -> None:
        self._request = request
        self._times = times
        self.targets: list[NDArray[np.float32]] | None = None
        if times is not None:
            request.set_callback(lambda _: times.end("network"), None)

    def start(self, image: NDArray[np.uint8], targets: list[NDArray[np.float32]]) -> None:
        self.finish()
        if self._times is not None:
            self._times.begin("network")
        self._request.start_async({0: image})  # copies the image
        self.targets = targets

    def finish(self) -> None:
        if self.targets is None:
            return
        self._request.wait()
        for target, tensor in zip(self.targets, self._request.output_tensors, strict=True):
            target[...] = tensor.data
        self.targets = None
        if self._times is not None:
            _add_work(self._times, self._request.get_profiling_info())


def _add_work(times: StageTimes, operations: Sequence[Any]) -> None:
    """Add the processor time of operations, those that average maps apart."""
    pooling = sum(o.real_time.total_seconds() for o in operations if o.node_name.startswith(POOLING))
    times.add_work("pooling", pooling)
    times.add_work("network", sum(o.real_time.total_seconds() for o in operations) - pooling)
