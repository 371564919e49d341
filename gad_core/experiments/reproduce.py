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
from gad_core.experiments.sources import Material, Source
from gad_core.experiments.units import Unit, UnitStore, versions
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
    store = UnitStore(out / UNITS)
    with _Progress(experiments, sources, progress) as bar:
        for backbone in dict.fromkeys(s.backbone for s in sources if any(e.takes(s) for e in experiments)):
            here = [source for source in sources if source.backbone == backbone]
            materials = [bar.loaded(source, experiments) for source in here]
            for experiment in experiments:
                taken = [m for m, source in zip(materials, here, strict=True) if experiment.takes(source)]
                for group in experiment.groups(taken):
                    rows[experiment.name] += _finished(experiment, group, store, bar)
                seen[experiment.name] += [m.description(experiment.augmented) for m in taken]
    for experiment in experiments:
        result = _result(experiment, tier, rows[experiment.name], seen[experiment.name])
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


def _finished(
    experiment: Experiment, materials: Sequence[Material], store: UnitStore, bar: _Progress
) -> list[dict[str, Any]]:
    """Rows of all parts of an experiment on some categories, computed where they are not stored."""
    backbone = materials[0].features.backbone
    categories = "+".join(material.features.category for material in materials)
    inputs = tuple(
        sha
        for material in materials
        for sha in (material.features_sha256, material.augmented_sha256 if experiment.augmented else None)
        if sha is not None
    )
    rows = []
    for parameters in experiment.parts:
        bar.say(f"{experiment.name} {backbone} {categories}")
        unit = Unit(experiment.name, backbone, categories, parameters, inputs)
        found = store.get(unit)
        seconds = experiment.seconds * len(materials) / len(experiment.parts)
        if found is None:
            found = store.put(unit, experiment.rows(materials, parameters))
            bar.done(seconds)
        else:
            bar.spared(seconds)
        rows += found
    return rows


def _result(
    experiment: Experiment, tier: str, rows: list[dict[str, Any]], seen: list[dict[str, Any]]
) -> Result:
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
