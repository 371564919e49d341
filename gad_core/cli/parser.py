"""Arguments of every subcommand; its work is in the module of the same name, loaded when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, get_args

import gad_core
from gad_core.execution import Precision, Runtime

COVARIANCES = ("ledoit_wolf", "oas", "empirical", "diagonal", "spherical")
MATCHES = ("channels", "luminance", "brightness")
THRESHOLDS = ("cross_validated", "conformal", "chi2")
MAPPERS = ("exact map", "gradient x input", "integrated gradients", "SmoothGrad", "occlusion")
REPRODUCED = ("table1", "table2", "table3", "table4", "table5", "table7", "table8", "rates", "contamination",
              "tie", "ablation", "all")  # fmt: skip


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all other errors of the command."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where help is, and exit with status 2."""
        print(f"gad: error: {message} ({self.prog} --help shows what is possible)", file=sys.stderr)
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; the chosen subcommand is ``args.run``, a function of the arguments."""
    parser = OneLineParser(prog="gad", description="Gaussian anomaly detection on pretrained deep features.")
    parser.add_argument("--version", action="version", version=f"gad-core {gad_core.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_evaluate(commands)
    _add_fit(commands)
    _add_score(commands)
    _add_localise(commands)
    _add_audit(commands)
    _add_features(commands)
    _add_reproduce(commands)
    _add_synthesize(commands)
    _add_download(commands)
    _add_info(commands)
    return parser


def _later(module: str) -> Callable[[argparse.Namespace], None]:
    """Give a function that imports the subcommand's module only when it runs, so that ``--help`` is quick."""

    def run(args: argparse.Namespace) -> None:
        importlib.import_module(f"gad_core.cli.{module}").run(args)

    return run


def _first(text: str) -> str:
    """Give the first sentence."""
    return text.split(". ")[0].removesuffix(".") + "."


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=_first(text), description=text)
    command.set_defaults(run=_later(name))
    return command


def _add_data(parser: argparse._ActionsContainer, required: bool) -> None:
    default = os.environ.get("GAD_DATA")
    parser.add_argument(
        "--data",
        metavar="ROOT",
        type=Path,
        default=default and Path(default),
        required=required and not default,
        help="folder that holds the categories (default: the environment variable GAD_DATA)",
    )


def _add_extraction(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("features")
    group.add_argument(
        "--backbone", default="efficientnet_b4", help="network (default: %(default)s); gad info lists them"
    )
    group.add_argument(
        "--weights",
        help="imagenet (downloaded once), embedded (ships with the package), random, or a safetensors or "
        "state-dict file (default: the backbone's own pretrained ones)",
    )
    group.add_argument("--levels", help="such as 1-7 or 3,5,7 (default: all levels of the network)")
    group.add_argument("--seed", type=int, default=0, help="of random weights (default: %(default)s)")
    group.add_argument(
        "--precision",
        default="auto",
        choices=get_args(Precision),
        help="numbers of the network (default: fp32, as for all published numbers)",
    )
    _add_machine(group)


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: %(default)s)"
    )
    group.add_argument(
        "--runtime",
        default="auto",
        choices=get_args(Runtime),
        help="what runs the network (default: OpenVINO on the CPU if it is installed, else torch)",
    )
    group.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="images at a time (default: %(default)s)"
    )
    group.add_argument(
        "--cache", metavar="FOLDER", default="auto", help="where features are kept between runs"
    )
    group.add_argument("--no-cache", dest="cache", action="store_const", const=None, help="keep no features")
    group.add_argument("--quiet", action="store_true", help="show no progress bar")


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "evaluate", "Measure how well anomalies are told from normal test images.")
    _add_data(parser, required=True)
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all in ROOT)")
    _add_extraction(parser)
    group = parser.add_argument_group("settings; every combination is one row")
    group.add_argument(
        "--folds", type=int, default=0, help="0: fit on all of train/good; 5: the paper's folds"
    )
    group.add_argument("--combine", nargs="+", default=["sum"], metavar="K", help="sum, joint, or a level")
    group.add_argument(
        "--reduce",
        nargs="+",
        default=["none"],
        metavar="R",
        help="none, or a subspace: pca:T, npca:T with a share of variance 0 < T < 1",
    )
    group.add_argument(
        "--covariance", nargs="+", default=["ledoit_wolf"], choices=COVARIANCES, help=", ".join(COVARIANCES),
        metavar="S",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also print where the time went, and compute all features anew, so that there is something to "
        "measure",
    )


def _add_fit(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "fit", "Fit a detector to normal images and write it to a file.")
    source = parser.add_argument_group("normal images: a category of a data set, or any folder")
    _add_data(source, required=False)
    source.add_argument("--category", metavar="C", help="category in ROOT; its train/good is used")
    source.add_argument(
        "--images", metavar="FOLDER", type=Path, help="folder of normal images, no labels needed"
    )
    _add_extraction(parser)
    group = parser.add_argument_group("detector")
    group.add_argument("--combine", default="sum", metavar="K", help="sum (default), joint, or a level")
    group.add_argument(
        "--reduce",
        default="none",
        metavar="R",
        help="none (default), or a subspace: pca:T, npca:T with a share of variance 0 < T < 1",
    )
    group.add_argument(
        "--covariance", default="ledoit_wolf", choices=COVARIANCES, help="default: %(default)s"
    )
    group.add_argument(
        "--fpr", type=float, default=0.05, help="false-positive rate, a fraction (default: 0.05)"
    )
    group.add_argument(
        "--threshold",
        default="cross_validated",
        choices=THRESHOLDS,
        help="default: %(default)s; conformal has a guarantee, chi2 needs many more images than features",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="share the work among Dask workers: local:2 starts two on this machine, tcp://HOST:PORT is a "
        "scheduler. The numbers are the same whatever the workers. An image that cannot be read is reported "
        "and left out, where without this option it is an error",
    )
    parser.add_argument("--out", metavar="MODEL", type=Path, required=True, help="file to write")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write a summary as JSON")


def _add_score(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "score",
        "Score images with a fitted detector. Each line gives the "
        "distance to the normal images; the p-value, which is the share of held-out normal images at "
        "least as far away and never below 1 / (their number + 1); the model's threshold; and whether "
        "the distance is above it.",
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="file that gad fit wrote")
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="images or folders of images")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="also write the results as CSV")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    parser.add_argument(
        "--maps",
        metavar="FOLDER",
        type=Path,
        help="also write, for each image, a PNG that shows where its distance comes from: dark blue is "
        "nothing, yellow ten times the threshold, and the mean over the image is its distance",
    )
    group = parser.add_argument_group("features")
    group.add_argument("--weights", help="the weights the model was fitted with, if they moved")
    _add_machine(group)


def _add_localise(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "localise",
        "Measure how well score maps find the defects that a data set's masks mark. Each line gives the "
        "AUROC of pixels; the per-region overlap (PRO) up to 30 % false positives; the share of images whose "
        "highest value lies on a defect; the share of positive relevance there, and the share of the area, "
        "which is what chance gives.",
    )
    _add_data(parser, required=True)
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all in ROOT)")
    _add_extraction(parser)
    group = parser.add_argument_group("maps; every combination is one row")
    group.add_argument(
        "--predictor", nargs="+", metavar="K", help="sum, joint, or a level (default: all levels and both)"
    )
    group.add_argument(
        "--method", nargs="+", metavar="M", choices=MAPPERS, default=["exact map"],
        help=f"{', '.join(MAPPERS)} (default: exact map, which alone is quick)",
    )  # fmt: skip
    group.add_argument(
        "--limit", type=int, metavar="N", help="draw N anomalous and N normal test images (default: all)"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="also write the results as CSV")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write results and provenance as JSON")
    parser.add_argument(
        "--faithfulness", metavar="FOLDER", type=Path,
        help="also follow the exact maps of the same images, and write as CSV deletion and insertion curves, "
        "the areas under them, and the share of relevance on the background",
    )  # fmt: skip


def _add_audit(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "audit",
        "Look for what gives anomalies away beside the defect. It tests whether brightness, contrast, colour "
        "or sharpness tell normal test images from training images, or anomalous from normal ones away from "
        "the defects; what the AUROC is when all images have the same exposure; and whether the detector "
        "still tells the labels apart without the object. Each has a verdict, and says what to do.",
    )
    _add_data(parser, required=True)
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all in ROOT)")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the report with pictures")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    parser.add_argument(
        "--csv",
        metavar="FOLDER",
        type=Path,
        help="also write the rows as CSV; those of other categories stay",
    )
    _add_extraction(parser)
    group = parser.add_argument_group("checks")
    group.add_argument(
        "--combine", nargs="+", metavar="K", help="sum, joint, or a level (default: all of them)"
    )
    group.add_argument(
        "--match",
        nargs="+",
        default=["channels"],
        choices=MATCHES,
        help="what is made equal in all images: mean and contrast of each colour channel (channels, the "
        "default) or of the luminance, or the mean brightness alone",
    )
    group.add_argument(
        "--centre",
        metavar="SHARE",
        type=float,
        help="take out the central square of this share of the side, instead of finding the object",
    )
    group.add_argument(
        "--patches", action="store_true", help="also repair and transplant the defects; needs their masks"
    )


def _add_features(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "features", "Write the features of a data set's images to files.")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _add_action(actions, "export", "Write the features of each category to FOLDER/BACKBONE/CATEGORY.npz.")
    augment = _add_action(
        actions,
        "augment",
        "Write the moments of the features of randomly changed training images (Tables IV, V, VIII). Each "
        "pass changes every image of a category; the result is FOLDER/BACKBONE/CATEGORY.npz. Finished passes "
        "stay in the cache: a run that was stopped goes on, and more passes add to those that are there. "
        "--seed is that of the changes too.",
    )
    augment.add_argument("--passes", type=int, default=100, metavar="N", help="default: %(default)s")


def _add_action(actions: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=_first(text), description=text)
    _add_data(action, required=True)
    action.add_argument("--category", nargs="+", metavar="C", help="categories (default: all in ROOT)")
    _add_extraction(action)
    action.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder for the files")
    return action


def _add_reproduce(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "reproduce",
        "Compute the paper's tables and the experiments beside them, and print the paper's values beside "
        "ours. Without --data it works on the features that ship with the package. What is finished is kept: "
        "a run that was stopped goes on where it was.",
    )
    parser.add_argument(
        "experiments",
        metavar="EXPERIMENT",
        nargs="+",
        choices=REPRODUCED,
        help=", ".join(REPRODUCED),
    )
    parser.add_argument(
        "--data",
        metavar="ROOT",
        type=Path,
        help="folder that holds the categories; default: the features that ship with the package",
    )
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all that are there)")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=Path("results"),
        help="where results are kept, in a folder embedded or local (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all results as JSON")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes that compute (default: one for each processor)"
    )
    group = parser.add_argument_group("features")
    group.add_argument(
        "--backbone",
        nargs="+",
        metavar="B",
        help="networks (default: all that ship; with --data the paper's)",
    )
    group.add_argument("--weights", help="with --data: imagenet (default), random, or a file for one network")
    group.add_argument("--levels", help="with --data: such as 1-7 (default: all levels of each network)")
    group.add_argument(
        "--passes",
        type=int,
        metavar="N",
        help="with --data: random passes over the training images for tables 4 and 5 (the paper: 100), which "
        "are left out otherwise",
    )
    group.add_argument("--seed", type=int, default=0, help="of random weights (default: %(default)s)")
    parser.set_defaults(precision="auto")  # tables are of float32
    _add_machine(group)


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "synthesize", "Write a synthetic data set in MVTec's folder layout.")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace categories that are there already")
    parser.add_argument("--size", type=int, default=256, help="pixels a side (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def _add_download(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "download", "Download MVTec AD (5.3 GB, non-commercial licence).")
    parser.add_argument(
        "category", metavar="C", nargs="*", help="categories to unpack (default: all fifteen)"
    )
    parser.add_argument("--root", type=Path, required=True, help="folder to unpack into")
    parser.add_argument("--keep-archive", action="store_true", help="do not delete the archive afterwards")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def _add_info(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands, "info", "Show versions, backbones, folders and the device that would be used."
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write it as JSON")
