"""Make the weights of the embedded backbone: pictures, targets, training, export, comparison.

``python -m training all`` does all but the comparison, in this order; each step continues what a killed run
left, and can be called alone. On two CPU cores it takes less than two hours; a GPU is used when there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from gad_core.runtime import choose_device
from training.batches import Examples
from training.compare import compare
from training.export import export
from training.loop import Plan, train
from training.pictures import draw_pictures
from training.ship import ship
from training.student import Classification, Distillation
from training.targets import compute_targets

ROUTES = ("distil", "classify")


def main(argv: list[str] | None = None) -> None:
    """Run the step that the command line names."""
    args = _parser().parse_args(argv)
    steps = ("pictures", "targets", "train", "export") if args.step == "all" else (args.step,)
    for step in steps:
        _STEPS[step](args)


def run_folder(args: argparse.Namespace) -> Path:
    """Folder of a training run."""
    return Path(args.folder) / (args.run or f"{args.route}-{args.seed}")


def build_model(args: argparse.Namespace) -> Distillation | Classification:
    """Draw the model of a route with the seed of the run."""
    torch.manual_seed(args.seed)
    if args.route == "classify":
        return Classification(args.styles)
    model = Distillation(Path(args.folder) / "targets")
    if args.start:
        state = torch.load(Path(args.folder) / args.start / "checkpoint.pt", weights_only=True)
        model.load_state_dict(state["model"])
    return model


def _pictures(args: argparse.Namespace) -> None:
    draw_pictures(Path(args.folder) / "pictures", args.count, args.styles, args.picture_seed, args.processes)


def _targets(args: argparse.Namespace) -> None:
    if args.route == "distil":
        folder = Path(args.folder)
        compute_targets(
            folder / "pictures", folder / "targets", Path(args.teacher), choose_device(args.device)
        )


def _train(args: argparse.Namespace) -> None:
    folder = Path(args.folder)
    targets = folder / "targets" if args.route == "distil" else None
    examples = Examples(folder / "pictures", targets, args.styles)
    plan = Plan(steps=args.steps, batch=args.batch, rate=args.rate, seed=args.seed, exposure=args.exposure)
    run_folder(args).mkdir(parents=True, exist_ok=True)
    train(build_model(args), examples, plan, run_folder(args), choose_device(args.device))


def _export(args: argparse.Namespace) -> None:
    export(build_model(args), run_folder(args), vars(args))


def _ship(args: argparse.Namespace) -> None:
    ship(run_folder(args) / "embedded.safetensors", args.made_by)


def _compare(args: argparse.Namespace) -> None:
    compare(args.weights, Path(args.data), args.category, args.gain, args.out)


_STEPS = {
    "pictures": _pictures,
    "targets": _targets,
    "train": _train,
    "export": _export,
    "ship": _ship,
    "compare": _compare,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("step", choices=["all", *_STEPS])
    parser.add_argument("--folder", default="_training", help="of pictures, targets and runs (about 10 GB)")
    parser.add_argument("--teacher", default="../shared/weights/efficientnet_b4_levels1-7.safetensors")
    parser.add_argument("--route", choices=ROUTES, default="distil")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters and the order of pictures")
    parser.add_argument("--run", help="folder of the run below --folder (default: ROUTE-SEED)")
    parser.add_argument("--start", help="run whose network to start from (distil)")
    parser.add_argument("--exposure", type=float, default=0.0, help="change of exposure (distil)")
    parser.add_argument("--picture-seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=28_000, help="number of pictures")
    parser.add_argument("--styles", type=int, default=1_400, help="number of kinds of pictures")
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--made-by", nargs="*", default=[], help="ship: commands that made the weights")
    parser.add_argument("--weights", nargs="*", default=[], help="compare: files of weights, or random")
    parser.add_argument("--data", default="", help="compare: folder of a data set in MVTec's layout")
    parser.add_argument("--category", nargs="*", help="compare: its categories")
    parser.add_argument("--gain", type=float, default=1.0, help="compare: brightness of good test images")
    parser.add_argument("--out", type=Path, help="compare: file to write")
    return parser


if __name__ == "__main__":
    main()
