"""What ``gad evaluate --profile`` shows: where the time went."""

from __future__ import annotations

from typing import Any

from gad_core.cli.common import print_table
from gad_core.stages import STAGES, StageTimes


def profile_summary(times: StageTimes, seconds: float, images: int) -> dict[str, Any]:
    """Describe where the time went as plain JSON data.

    Parameters
    ----------
    times : StageTimes
        Clocks of the run.
    seconds : float
        How long all took.
    images : int
        How many images were computed.

    Returns
    -------
    dict
        ``seconds``, ``images``, and for each stage ``busy`` (seconds in which it was at work), ``share`` (of
        all) and ``processor`` (its processor seconds; None where they cannot be told).
    """
    stages = {
        name: {
            "busy": times.busy.get(name),
            "share": times.busy[name] / seconds if name in times.busy else None,
            "processor": times.work.get(name),
        }
        for name in STAGES
    }
    return {"seconds": seconds, "images": images, "stages": stages}


def print_profile(summary: dict[str, Any]) -> None:
    """Print the summary as a table, and how to read it."""
    rows = [
        (name, _shown(s["busy"], 2), _shown(s["share"] and 100 * s["share"], 1), _shown(s["processor"], 2))
        for name, s in summary["stages"].items()
    ]
    print()
    print_table(("stage", "busy s", "% of the time", "processor s"), rows)
    print(
        f"{summary['images']} images in {summary['seconds']:.2f} s. A stage is busy while at least one "
        "thread is in it; stages overlap, so their shares may exceed 100 %. "
        "OpenVINO pools inside the network."
    )


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
