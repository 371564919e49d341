"""Training runs as folders: one for each variant and seed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from training.batches import Examples
from training.loop import load_checkpoint, train
from training.record import claim, read_facts
from training.student import Classification, Distillation
from training.variants import Variant, get_variant, seeded_plan


def run_folder(folder: Path, name: str, seed: int) -> Path:
    """Folder of the run of a variant with a seed."""
    return folder / f"{name}-{seed}"


def train_variant(folder: Path, name: str, seed: int, device: torch.device) -> None:
    """Train a variant, and before it the one that it starts from; finished parts are not done again.

    Parameters
    ----------
    folder : pathlib.Path
        Has the pictures and, for distillation, the targets; gets the runs.
    name : str
        The variant.
    seed : int
        Of the parameters and the order of the pictures.
    device : torch.device
        Where to compute.

    Raises
    ------
    InputError
        If there is no such variant, or a folder holds something else than what is asked for.
    """
    variant, run = get_variant(name), run_folder(folder, name, seed)
    if variant.start is not None:
        train_variant(folder, variant.start, seed, device)
    plan = seeded_plan(variant, seed)
    facts: dict[str, Any] = {"variant": name, "seed": seed, "route": variant.route, "plan": asdict(plan)}
    facts["pictures"] = read_facts(folder / "pictures")
    if variant.start is not None:
        facts["start"] = read_facts(run_folder(folder, variant.start, seed))
    claim(run, facts)
    styles = facts["pictures"]["styles"]
    targets = folder / "targets" if variant.route == "distil" else None
    examples = Examples(folder / "pictures", targets, styles)
    train(_model(folder, variant, seed, styles), examples, plan, run, device)


def _model(folder: Path, variant: Variant, seed: int, styles: int) -> Distillation | Classification:
    torch.manual_seed(seed)
    if variant.route == "classify":
        return Classification(styles)
    model = Distillation(folder / "targets")
    if variant.start is not None:
        model.load_state_dict(load_checkpoint(run_folder(folder, variant.start, seed))["model"])
    return model
