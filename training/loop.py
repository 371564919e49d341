"""The training loop of both routes: seeded, with checkpoints to continue from and a log of the loss."""

from __future__ import annotations

import csv
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from gad_core.errors import InputError
from gad_core.files import replacing
from gad_core.runtime import normalised
from training.batches import Examples, augmented, exposed, training_order
from training.plot import write_plot

CHECKPOINT = "checkpoint.pt"
WARM_UP = 100
"""Steps in which the learning rate rises."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Parameters
    ----------
    steps, batch : int
        Number of updates and of pictures in each.
    rate, decay : float
        Largest learning rate and weight decay of AdamW.
    seed : int
        Of the parameters and of the order of the pictures.
    save_every : int
        Steps between checkpoints.
    exposure : float
        How much the pictures' exposure is changed for distillation, see `training.batches.exposed`.
    held_out : int
        Pictures at the end that are not trained on, for the validation loss.
    """

    steps: int = 3000
    batch: int = 32
    rate: float = 3e-3
    decay: float = 0.01
    seed: int = 0
    save_every: int = 250
    exposure: float = 0.0
    held_out: int = 1000


def learning_rate(step: int, plan: Plan) -> float:
    """Linear rise, then half a cosine down to zero."""
    rise = min(1.0, (step + 1) / WARM_UP)
    return plan.rate * rise * 0.5 * (1 + math.cos(math.pi * step / plan.steps))


def train(model: nn.Module, examples: Examples, plan: Plan, folder: Path, device: torch.device) -> None:
    """Train a model, or continue where a killed run wrote its last checkpoint.

    Parameters
    ----------
    model : torch.nn.Module
        Gives a loss and details for normalised pictures and targets; drawn after ``torch.manual_seed``.
    examples : Examples
        What to learn from.
    plan : Plan
        How to train.
    folder : pathlib.Path
        Gets ``checkpoint.pt``, ``loss.csv`` and ``loss.html``.
    device : torch.device
        Where to compute.

    Raises
    ------
    InputError
        If there are too few pictures.
    """
    if len(examples) - plan.held_out < plan.batch:
        raise InputError(
            f"{len(examples)} pictures, of which {plan.held_out} are held out, are too few for batches of "
            f"{plan.batch}: draw more (--count)"
        )
    model.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=plan.decay)
    log = _resume(model, optimiser, folder)
    order = training_order(len(examples) - plan.held_out, plan.batch, plan.seed)
    with tqdm(total=plan.steps, initial=len(log), desc=folder.name, unit="step", mininterval=10) as bar:
        for step, index in enumerate(itertools.islice(order, len(log), plan.steps), start=len(log)):
            log.append(_update(model, optimiser, examples, index, step, plan, device))
            bar.update()
            bar.set_postfix(loss=f"{np.mean([row['loss'] for row in log[-50:]]):.4f}", refresh=False)
            if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
                log[-1]["validation"] = validation_loss(model, examples, plan.held_out, device)
                _save(model, optimiser, log, folder)


def _update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    examples: Examples,
    index: np.ndarray,
    step: int,
    plan: Plan,
    device: torch.device,
) -> dict[str, Any]:
    start = time.perf_counter()
    images, targets = examples.take(index)
    rng = np.random.default_rng((plan.seed, step))
    if examples.targets is None:
        images = augmented(images, rng)
    elif plan.exposure:
        images = exposed(images, plan.exposure, rng)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, plan)
    model.train()
    loss, details = model(normalised(images, device), targets.to(device))
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    row = {"step": step, "loss": loss.item(), "validation": "", "seconds": time.perf_counter() - start}
    return {**row, **{f"detail{i + 1}": value for i, value in enumerate(details)}}


@torch.no_grad()
def validation_loss(model: nn.Module, examples: Examples, held_out: int, device: torch.device) -> float:
    """Mean loss on the last `held_out` pictures, in batches of nearly equal size."""
    model.eval()
    rows = np.arange(len(examples) - held_out, len(examples))
    losses = []
    for index in np.array_split(rows, -(-held_out // 50)):
        images, targets = examples.take(index)
        losses.append(model(normalised(images, device), targets.to(device))[0].item())
    return float(np.mean(losses))


def _save(
    model: nn.Module, optimiser: torch.optim.Optimizer, log: list[dict[str, Any]], folder: Path
) -> None:
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "log": log}
    with replacing(folder / CHECKPOINT) as temporary:
        torch.save(state, temporary)
    with replacing(folder / "loss.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(log[0]))
        writer.writeheader()
        writer.writerows(log)
    write_plot(log, folder / "loss.html")


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Read a run's last checkpoint; InputError if there is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"{folder} has no checkpoint: train that variant first")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _resume(model: nn.Module, optimiser: torch.optim.Optimizer, folder: Path) -> list[dict[str, Any]]:
    """Continue from the last checkpoint, if there is one, and give the log up to it."""
    if not (folder / CHECKPOINT).is_file():
        return []
    state = load_checkpoint(folder)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    log: list[dict[str, Any]] = state["log"]
    return log
