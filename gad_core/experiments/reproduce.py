"""Run experiments on all features that are there; stopped at any moment, a run goes on where it was."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gad_core import __version__
from gad_core.errors import InputError
from gad_core.experiments.catalogue import Experiment
from gad_core.experiments.results import Result, write_result
from gad_core.experiments.sources import Material, Source
from gad_core.experiments.units import Unit, UnitStore, versions
from gad_core.experiments.workers import each_done
from gad_core.files import remove_leftovers

Rows = list[dict[str, Any]]

UNITS = "units"
"""Folder of finished work, below that of the results."""


def reproduce(
    experiments: Sequence[Experiment],
    sources: Sequence[Source],
    out: Path,
    tier: str,
    *,
    jobs: int = 1,
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
    jobs : int
        Number of processes that compute; the results do not depend on it.
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
    store = UnitStore(out / UNITS)
    found: dict[int, tuple[str, Rows]] = {}
    seen: dict[str, list[dict[str, Any]]] = {each.name: [] for each in experiments}
    with _Progress(experiments, sources, progress) as bar:
        tasks = _tasks(experiments, sources, seen, bar)
        missing = (task for task in tasks if not _taken(task, store, found, bar))
        for task, rows in each_done(partial(_computed, store), missing, jobs):
            found[task.number] = (task.unit.experiment, rows)
            bar.done(task.seconds)
    in_order = [found[number] for number in sorted(found)]
    for experiment in experiments:
        rows = [row for name, part in in_order if name == experiment.name for row in part]
        result = _result(experiment, tier, rows, seen[experiment.name])
        write_result(out, result)
        yield result


def _runnable(experiments: Sequence[Experiment], sources: Sequence[Source]) -> list[Experiment]:
    backbones = {source.backbone for source in sources}
    runnable = [each for each in experiments if any(each.takes(source) for source in sources)]
    if not runnable and all(each.augmented for each in experiments):
        raise InputError(
            f"{', '.join(each.name for each in experiments)}: there are no augmented training images of "
            f"{', '.join(sorted(backbones))}; give --data ROOT with the images, and --passes N"
        )
    if not runnable:
        needed = dict.fromkeys(backbone for each in experiments for backbone in each.backbones)
        raise InputError(
            f"{', '.join(each.name for each in experiments)}: there are features of "
            f"{', '.join(sorted(backbones))}, needed is one of {', '.join(needed)}; give --data ROOT with "
            "the images, and the network with --backbone"
        )
    return runnable


@dataclass(frozen=True, eq=False)
class _Task:
    """A unit with what it is computed from, its place in the order of rows, and about how long it takes."""

    number: int
    unit: Unit
    experiment: Experiment
    materials: Sequence[Material]
    seconds: float


def _tasks(
    experiments: Sequence[Experiment],
    sources: Sequence[Source],
    seen: dict[str, list[dict[str, Any]]],
    bar: _Progress,
) -> Iterator[_Task]:
    """Load network after network, note in `seen` what each experiment is given, and divide the work."""
    number = itertools.count()
    for backbone in dict.fromkeys(s.backbone for s in sources if any(e.takes(s) for e in experiments)):
        here = [source for source in sources if source.backbone == backbone]
        materials = [bar.loaded(source, experiments) for source in here]
        for experiment in experiments:
            taken = [m for m, source in zip(materials, here, strict=True) if experiment.takes(source)]
            seen[experiment.name] += [material.description(experiment.augmented) for material in taken]
            for group in experiment.groups(taken):
                seconds = experiment.seconds * len(group) / len(experiment.parts)
                for parameters in experiment.parts:
                    unit = _unit(experiment, group, parameters)
                    yield _Task(next(number), unit, experiment, group, seconds)


def _unit(experiment: Experiment, materials: Sequence[Material], parameters: Mapping[str, Any]) -> Unit:
    inputs = tuple(
        sha
        for material in materials
        for sha in (material.features_sha256, material.augmented_sha256 if experiment.augmented else None)
        if sha is not None
    )
    categories = "+".join(material.features.category for material in materials)
    return Unit(experiment.name, materials[0].features.backbone, categories, parameters, inputs)


def _taken(task: _Task, store: UnitStore, found: dict[int, tuple[str, Rows]], bar: _Progress) -> bool:
    """Take a unit's rows from the store, if they are there."""
    bar.say(f"{task.unit.experiment} {task.unit.backbone} {task.unit.category}")
    rows = store.get(task.unit)
    if rows is None:
        return False
    found[task.number] = (task.unit.experiment, rows)
    bar.spared(task.seconds)
    return True


def _computed(store: UnitStore, task: _Task) -> Rows:
    return store.put(task.unit, task.experiment.rows(task.materials, task.unit.parameters))


def _result(experiment: Experiment, tier: str, rows: Rows, seen: list[dict[str, Any]]) -> Result:
    provenance = {
        "experiment": experiment.name,
        "title": experiment.title,
        "command": f"gad reproduce {experiment.name}",
        "tier": tier,
        "parameters": [dict(part) for part in experiment.parts],
        "gad_core": __version__,
        "versions": versions(),
        "features": seen,
    }
    return Result(experiment.name, experiment.title, rows, experiment.compare(rows), provenance)


class _Progress:
    """A bar of the expected seconds, so that the estimate of the time left holds for pieces of any size."""

    def __init__(
        self, experiments: Sequence[Experiment], sources: Sequence[Source], progress: bool | None
    ) -> None:
        each = [e.seconds for source in sources for e in experiments if e.takes(source)]
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

    def loaded(self, source: Source, experiments: Sequence[Experiment]) -> Material:
        """Load what the experiments need of a source."""
        self.say(f"features {source.backbone} {source.category}")
        augmented = any(each.augmented and each.takes(source) for each in experiments)
        return Material(
            source.load(), source.load_augmented() if augmented and source.load_augmented else None
        )

    def done(self, seconds: float) -> None:
        """Count work as done."""
        self.bar.update(seconds)

    def spared(self, seconds: float) -> None:
        """Count work as none at all, so that it does not make the estimate too short."""
        self.bar.total -= seconds
        self.bar.refresh()
