"""Run experiments on all features that are there; stopped at any moment, a run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gad_core import __version__
from gad_core.errors import InputError
from gad_core.experiments.catalogue import Experiment
from gad_core.experiments.results import Result, write_result
from gad_core.experiments.sources import Source
from gad_core.experiments.units import Unit, UnitStore, features_sha256, versions
from gad_core.feature_file import CategoryFeatures
from gad_core.files import remove_leftovers

UNITS = "units"
"""Folder of finished work, below that of the results."""


def reproduce(
    experiments: Sequence[Experiment],
    sources: Sequence[Source],
    out: Path,
    tier: str,
    *,
    progress: bool | None = None,
) -> Iterator[Result]:
    """Run experiments and write their results.

    What is finished stays in ``out/units`` and is not computed again, as long as the features, the parameters
    and the library are the same. The files of the results are the same bytes whether a run was stopped in
    between or not. One run at a time may use a folder.

    Parameters
    ----------
    experiments : sequence of Experiment
        What to run; see `gad_core.experiments.catalogue`.
    sources : sequence of Source
        The features.
    out : pathlib.Path
        Folder of the results.
    tier : {"embedded", "local"}
        Where the features come from.
    progress : bool or None
        Whether to show progress on stderr; None shows it if stderr is a terminal.

    Yields
    ------
    Result
        Of each experiment that has features to run on, when all are computed, after its files are written.

    Raises
    ------
    InputError
        If no experiment can run on these features, or a file cannot be written.
    """
    experiments = _runnable(experiments, sources)
    for folder in (out, out / UNITS):
        remove_leftovers(folder)
    rows: dict[str, list[dict[str, Any]]] = {each.name: [] for each in experiments}
    seen: dict[str, list[dict[str, Any]]] = {each.name: [] for each in experiments}
    with _Progress(experiments, sources, progress) as bar:
        for source in sources:
            wanted = [each for each in experiments if each.takes(source.backbone)]
            if not wanted:
                continue
            bar.say(f"{source.backbone} {source.category}")
            features = source.load()
            digest = features_sha256(features)
            for experiment in wanted:
                rows[experiment.name] += _finished(experiment, features, digest, UnitStore(out / UNITS), bar)
                seen[experiment.name].append(_described(features, digest))
    for experiment in experiments:
        result = Result(
            experiment.name,
            experiment.title,
            rows[experiment.name],
            experiment.compare(rows[experiment.name]),
            _provenance(experiment, tier, seen[experiment.name]),
        )
        write_result(out, result)
        yield result


def _runnable(experiments: Sequence[Experiment], sources: Sequence[Source]) -> list[Experiment]:
    backbones = {source.backbone for source in sources}
    runnable = [each for each in experiments if any(each.takes(backbone) for backbone in backbones)]
    if not runnable:
        needed = dict.fromkeys(backbone for each in experiments for backbone in each.backbones)
        raise InputError(
            f"{', '.join(each.name for each in experiments)}: there are features of "
            f"{', '.join(sorted(backbones))}, needed is one of {', '.join(needed)}; give --data ROOT with "
            "the images, and the network with --backbone"
        )
    return runnable


def _finished(
    experiment: Experiment, features: CategoryFeatures, digest: str, store: UnitStore, bar: _Progress
) -> list[dict[str, Any]]:
    """Rows of all parts of an experiment on one category, computed where they are not stored."""
    rows = []
    for parameters in experiment.parts:
        unit = Unit(experiment.name, features.backbone, features.category, parameters, digest)
        bar.say(f"{experiment.name} {features.backbone} {features.category}")
        found = store.get(unit)
        if found is None:
            found = store.put(unit, experiment.rows(features, parameters))
            bar.done(experiment)
        else:
            bar.spared(experiment)
        rows += found
    return rows


def _described(features: CategoryFeatures, digest: str) -> dict[str, Any]:
    return {
        "category": features.category,
        "backbone": features.backbone,
        "levels": list(features.level_widths),
        "train": len(features.train),
        "test": len(features.test),
        "features_sha256": digest,
        "provenance": features.provenance,
    }


def _provenance(experiment: Experiment, tier: str, features: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "command": f"gad reproduce {experiment.name}",
        "tier": tier,
        "parameters": [dict(part) for part in experiment.parts],
        "gad_core": __version__,
        "versions": versions(),
        "features": features,
    }


class _Progress:
    """A bar of the expected seconds, so that the estimate of the time left holds for pieces of any size."""

    def __init__(
        self, experiments: Sequence[Experiment], sources: Sequence[Source], progress: bool | None
    ) -> None:
        each = [e.seconds for source in sources for e in experiments if e.takes(source.backbone)]
        self.bar = tqdm(
            total=sum(each),
            disable=None if progress is None else not progress,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}, about {remaining} left",
        )
        self.say: Callable[[str], None] = self.bar.set_description

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def done(self, experiment: Experiment) -> None:
        """Count one part of an experiment as computed."""
        self.bar.update(experiment.seconds / len(experiment.parts))

    def spared(self, experiment: Experiment) -> None:
        """Count one part of an experiment as no work at all, which does not speed up the estimate."""
        self.bar.total -= experiment.seconds / len(experiment.parts)
        self.bar.refresh()
