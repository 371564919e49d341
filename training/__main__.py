"""Make the weights of the embedded backbone: pictures, targets, training, export, comparison, shipping.

``python -m training all`` makes the file of weights; each step continues what a killed run left, and can be
called alone. README.md says how long it takes; a GPU is used when there is one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gad_core.errors import InputError
from gad_core.runtime import choose_device
from training.compare import compare
from training.export import export
from training.pictures import draw_pictures
from training.runs import run_folder, train_variant
from training.ship import ship
from training.targets import compute_targets
from training.variants import SHIPPED, get_variant

TEACHER_FILE = "../shared/weights/efficientnet_b4_levels1-7.safetensors"


def main(argv: list[str] | None = None) -> int:
    """Run the step that the command line names; 2 if its input cannot be used."""
    args = _parser().parse_args(argv)
    try:
        args.step(args)
    except InputError as error:
        print(f"training: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _all(args: argparse.Namespace) -> None:
    for step in (_pictures, _targets, _train, _export):
        step(args)


def _pictures(args: argparse.Namespace) -> None:
    draw_pictures(args.folder / "pictures", args.count, args.styles, args.picture_seed, args.processes)


def _targets(args: argparse.Namespace) -> None:
    if get_variant(args.variant).route == "distil":
        device = choose_device(args.device)
        compute_targets(args.folder / "pictures", args.folder / "targets", args.teacher, device)


def _train(args: argparse.Namespace) -> None:
    train_variant(args.folder, args.variant, args.seed, choose_device(args.device))


def _export(args: argparse.Namespace) -> None:
    print(export(run_folder(args.folder, args.variant, args.seed)))


def _ship(args: argparse.Namespace) -> None:
    command = f"python -m training all --variant {args.variant} --seed {args.seed}"
    ship(run_folder(args.folder, args.variant, args.seed) / "embedded.safetensors", command)


def _compare(args: argparse.Namespace) -> None:
    compare(args.weights, args.data, args.category, args.gain, args.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    for run, text in (
        (_all, "pictures, targets, train and export"),
        (_pictures, "draw the pictures"),
        (_targets, "compute the teacher's maps of them"),
        (_train, "train a variant, and first the one that it starts from"),
        (_export, "write the weights of a trained variant to a file"),
        (_ship, "put that file into the package"),
    ):
        _add_making(steps.add_parser(run.__name__.strip("_"), help=text, description=text), run)
    comparing = steps.add_parser("compare", help="measure detectors on files of weights")
    comparing.set_defaults(step=_compare)
    comparing.add_argument("--weights", nargs="+", required=True, help="files, random or embedded")
    comparing.add_argument("--data", type=Path, required=True, help="data set in MVTec's layout")
    comparing.add_argument("--category", nargs="+", help="its categories (default: all)")
    comparing.add_argument("--gain", type=float, default=1.0, help="brightness of the good test images")
    comparing.add_argument("--out", type=Path, help="CSV file to write")
    return parser


def _add_making(parser: argparse.ArgumentParser, run: object) -> None:
    parser.set_defaults(step=run)
    parser.add_argument("--folder", type=Path, default=Path("_training"), help="of all files (about 10 GB)")
    parser.add_argument("--variant", default=SHIPPED, help="a key of training.variants.VARIANTS")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters and the order of pictures")
    parser.add_argument("--teacher", type=Path, default=Path(TEACHER_FILE), help="EfficientNet-B4's weights")
    parser.add_argument("--count", type=int, default=28_000, help="number of pictures")
    parser.add_argument("--styles", type=int, default=1_400, help="number of kinds of pictures")
    parser.add_argument("--picture-seed", type=int, default=0, help="another seed gives other pictures")
    parser.add_argument("--processes", type=int, default=2, help="to draw pictures with")
    parser.add_argument("--device", default="auto", help="for targets and training")


if __name__ == "__main__":
    sys.exit(main())
