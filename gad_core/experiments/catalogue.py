"""Every experiment that ``gad reproduce`` knows: what it computes, on which networks, its printed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gad_core.errors import InputError
from gad_core.experiments.ablation import ablation_rows
from gad_core.experiments.augmented import augmented_rate_rows, augmented_rows
from gad_core.experiments.comparison import Rows, compare_category, compare_levels, percent, summarise
from gad_core.experiments.contamination import contamination_rows, contamination_summary
from gad_core.experiments.paper import AUGMENTED, AUGMENTED_NPCA, paper_value
from gad_core.experiments.rates import RATES, rates_rows
from gad_core.experiments.sources import Material, Source
from gad_core.experiments.tables import FOLDS, mahalanobis_rows, table1_rows, table3_rows
from gad_core.experiments.tie import tie_rows
from gad_core.feature_file import CategoryFeatures

EFFICIENTNETS = tuple(f"efficientnet_b{i}" for i in range(8))
RESNETS = ("resnet18", "resnet34", "resnet50")
B4 = ("efficientnet_b4",)
RATES_SHOWN = {"fpr": "FPR %", "tpr": "TPR %"}


@dataclass(frozen=True)
class Experiment:
    """An experiment, on one network at a time.

    Parameters
    ----------
    name : str
        As the command line has it, and the stem of its files.
    title : str
        What it is.
    compute : callable
        From a category's features (with `together` a list of those of all categories), and the parameters as
        keywords, to tidy rows.
    compare : callable
        From the rows of all categories and networks to those of the printed table.
    seconds : float
        About how long one category takes, for the estimate of the time left.
    backbones : tuple of str
        The paper's networks.
    only_these : bool
        Whether it makes sense with no other network.
    costly : bool
        Whether it is done with another network only if that was asked for by name.
    augmented : bool
        Whether `compute` also gets the category's moments of augmented images, and is not done without.
    together : bool
        Whether all categories are needed at once.
    parts : tuple of mapping
        Parameters of each part that is stored by itself.
    """

    name: str
    title: str
    compute: Callable[..., list[dict[str, Any]]]
    compare: Callable[[Rows], list[dict[str, Any]]]
    seconds: float = 1.0
    backbones: tuple[str, ...] = B4
    only_these: bool = False
    costly: bool = False
    augmented: bool = False
    together: bool = False
    parts: tuple[Mapping[str, Any], ...] = ({},)

    def takes(self, source: Source) -> bool:
        """Whether the experiment is done with this source."""
        if self.augmented and source.load_augmented is None:
            return False
        others = not self.only_these and (source.asked or not self.costly)
        return others or source.backbone in self.backbones

    def groups(self, materials: Sequence[Material]) -> list[Sequence[Material]]:
        """Divide a network's categories into those that are computed together."""
        if self.together:
            return [materials] if materials else []
        return [[material] for material in materials]

    def rows(self, group: Sequence[Material], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Compute one part."""
        if self.together:
            return self.compute([material.features for material in group], **parameters)
        (material,) = group
        given = (material.features, material.augmented) if self.augmented else (material.features,)
        return self.compute(*given, **parameters)


def compare_rates(rows: Rows) -> list[dict[str, Any]]:
    """Average the rates obtained at a chosen 5 % over categories: deepest level, sum and joint Gaussian."""
    deepest = {row["backbone"]: row["predictor"] for row in rows if row["predictor"].startswith("level")}
    shown = [
        row
        for row in rows
        if row["chosen"] == 0.05 and row["predictor"] in (deepest[row["backbone"]], "sum", "joint")
    ]
    return summarise(
        percent(shown, "chosen"), ("predictor",), ("method", "covariance", "chosen"), RATES_SHOWN
    )


def compare_augmented_rates(rows: Rows) -> list[dict[str, Any]]:
    """Average over categories the rates of level 7, or of the deepest level, at the working points."""
    deepest = max(row["predictor"] for row in rows if row["predictor"].startswith("level"))
    level = min(deepest, "level 7")
    shown = [row for row in rows if row["predictor"] == level and row["chosen"] not in RATES]
    keys = ("method", "reduce", "predictor"), ("chosen", "passes")
    return summarise(percent(shown, "chosen"), *keys, RATES_SHOWN)


def compare_augmented(rows: Rows) -> list[dict[str, Any]]:
    """Set the sum over levels beside Tables V and VIII, category by category."""
    compared = []
    for row in rows:
        setting = {"none": AUGMENTED, "npca:0.99": AUGMENTED_NPCA}.get(row["reduce"])
        if row["predictor"] != "sum" or setting is None:
            continue
        here = (row["backbone"], row["category"], row["reduce"])
        levels = sum((r["backbone"], r["category"], r["reduce"]) == here for r in rows) - 1
        note = f"ours: sum of {levels} levels, {row['passes']} passes; the paper's: 9 levels, 100 passes"
        paper = paper_value("V-VIII", row["backbone"], setting, row["category"])
        compared.append(compare_category(row, f"Mahalanobis, {row['reduce']}, sum", paper, "auroc", note))
    return compared


def compare_ablation(rows: Rows) -> list[dict[str, Any]]:
    """Average over categories the accuracy of every variant by the paper's folds."""
    shown = [row for row in rows if row["folds"] == FOLDS]
    return summarise(shown, ("variant",), ("predictor",), {"auroc": "AUROC %"})


def contamination(features: CategoryFeatures, predictor: str) -> list[dict[str, Any]]:
    """Means over draws of `contamination_rows` for one predictor; "deepest" is the deepest level."""
    combine = max(features.level_widths) if predictor == "deepest" else predictor
    return contamination_summary(contamination_rows(features, predictors=(combine,)))


def compare_contamination(rows: Rows) -> list[dict[str, Any]]:
    """Average over categories accuracy and rates, at a chosen 5 %, of every estimate for a few shares."""
    shown = [row for row in rows if row["share"] in (0.0, 0.05, 0.2)]
    quantities = {"auroc": "AUROC %", **RATES_SHOWN}
    return summarise(percent(shown, "share"), ("predictor", "estimate"), ("share",), quantities)


def compare_tie(rows: Rows) -> list[dict[str, Any]]:
    """Average over draws and categories how alike the two classifiers are, at one strength of penalty."""
    quantities = {
        "posterior_difference": "largest difference of posterior and softmax",
        "cosine": "cosine of weights",
        "agreement": "agreement %",
        "accuracy_gaussian": "accuracy Gaussian %",
        "accuracy_logistic": "accuracy logistic %",
    }
    shown = [row for row in rows if row["C"] == 1.0]
    return summarise(shown, ("task", "predictor"), ("n",), quantities)


EXPERIMENTS: Mapping[str, Experiment] = {
    each.name: each
    for each in (
        Experiment("table1", "Table I: baselines and the Mahalanobis distance", table1_rows, compare_levels),
        Experiment(
            "table2",
            "Table II: EfficientNets B0 to B7",
            mahalanobis_rows,
            compare_levels,
            backbones=EFFICIENTNETS,
            only_these=True,
        ),
        Experiment("table3", "Table III: PCA and NPCA subspaces", table3_rows, compare_levels, seconds=3),
        Experiment(
            "table4",
            "Table IV: rates of the chi-square threshold with augmentation",
            augmented_rate_rows,
            compare_augmented_rates,
            backbones=("efficientnet_b0", "efficientnet_b4"),
            augmented=True,
        ),
        Experiment(
            "table5",
            "Tables V and VIII: every category with augmentation",
            augmented_rows,
            compare_augmented,
            augmented=True,
        ),
        Experiment(
            "table7",
            "Table VII: ResNets",
            mahalanobis_rows,
            compare_levels,
            backbones=RESNETS,
            only_these=True,
        ),
        Experiment("rates", "Obtained false-positive and true-positive rates", rates_rows, compare_rates, 4),
        Experiment(
            "contamination",
            "Unlabeled anomalies among the training images",
            contamination,
            compare_contamination,
            seconds=30,
            costly=True,
            parts=({"predictor": "deepest"}, {"predictor": "sum"}, {"predictor": "joint"}),
        ),
        Experiment(
            "tie",
            "Generative and discriminative classifiers",
            tie_rows,
            compare_tie,
            together=True,
            seconds=3,
        ),
        Experiment(
            "ablation",
            "Beyond the paper's grid",
            ablation_rows,
            compare_ablation,
            seconds=5,
            costly=True,
        ),
    )
}

ALIASES = {"table8": "table5"}
"""Names of the same content."""


def chosen_experiments(names: list[str]) -> list[Experiment]:
    """Look up experiments by name; ``all`` is every one.

    Raises
    ------
    InputError
        For a name that is not known.
    """
    wanted = dict.fromkeys(ALIASES.get(name, name) for name in names)
    if "all" in wanted:
        return list(EXPERIMENTS.values())
    for name in wanted:
        if name not in EXPERIMENTS:
            raise InputError(f"no experiment {name!r}; there are: {', '.join((*EXPERIMENTS, 'all'))}")
    return [EXPERIMENTS[name] for name in wanted]
