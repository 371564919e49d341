"""The audit: a planted confounder is flagged, clean data are not, and the report says so."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import gad_core as gad
from gad_core.audit import checks
from gad_core.audit.background import background_finding, counted_images, reaches_outside
from gad_core.audit.confounders import (
    ALPHA,
    AWAY_FROM_DEFECTS,
    NORMAL_AGAINST_TRAINING,
    WHOLE_IMAGES,
    compare_photometry,
    holm,
)
from gad_core.audit.findings import data_findings, detector_finding
from gad_core.audit.report import audit, write_tables
from gad_core.cli import main
from gad_core.datasets.layout import Split
from gad_core.datasets.synthetic import CATEGORIES, render, synthesize
from gad_core.errors import InputError
from gad_core.evaluation import auroc
from gad_core.experiments.results import read_rows, stored_rows
from gad_core.experiments.tables import predictor_name
from gad_core.explain.changes import predictor_distances
from gad_core.explain.photometry import block_sums, kept_blocks
from gad_core.outputs import write_csv

SEEDS = 20
SIZE = 64


def scaled(images, factor):
    """Images as with another exposure time."""
    return [np.clip(np.rint(image * factor), 0, 255).astype(np.uint8) for image in images]


def draw(seed, n_train=20, n_good=14, n_defect=4):
    """Pictures of a category, another one for each seed: training, normal, anomalous, masks."""
    category = list(CATEGORIES)[seed % len(CATEGORIES)]
    rng = np.random.default_rng(seed)
    train = [render(category, rng, None, SIZE)[0] for _ in range(n_train)]
    good = [render(category, rng, None, SIZE)[0] for _ in range(n_good)]
    kinds = [kind for kind in CATEGORIES[category].defects for _ in range(n_defect)]
    bad, masks = zip(*(render(category, rng, kind, SIZE) for kind in kinds), strict=True)
    return train, good, list(bad), masks


def compare(train, good, bad, masks=None):
    labels = np.repeat([0, 1], [len(good), len(bad)])
    kept = [None] * len(good) + ([None] * len(bad) if masks is None else list(kept_blocks(masks)))
    return compare_photometry(
        block_sums(train), block_sums(good + bad), labels, kept, np.random.default_rng(0), resamples=50
    )


def flags(*pictures):
    """Verdicts on normal against training images, and on anomalous against normal ones."""
    return [finding.flagged for finding in data_findings(compare(*pictures))]


def test_planted_confounders_are_flagged_and_clean_data_are_not(capsys, record_property):
    clean, darker, brighter = [], [], []
    for seed in range(SEEDS):
        train, good, bad, masks = draw(seed)
        clean.append(flags(train, good, bad, masks))
        darker.append(flags(train, scaled(good, 0.92), bad, masks))
        brighter.append(flags(train, good, scaled(bad, 1.08), masks))
    counts = {
        "clean data flagged": sum(map(any, clean)),
        "normal test images 8 % darker, flagged": sum(first for first, _ in darker),
        "anomalous images 8 % brighter, flagged": sum(second for _, second in brighter),
    }
    with capsys.disabled():
        for name, count in counts.items():
            print(f"\n{name}: {count} of {SEEDS}", end="")
            record_property(name, f"{count} of {SEEDS}")
    # 20 clean sets have a flag with a probability of at most 1 % each: two or more in under 2 % of all cases.
    assert counts["clean data flagged"] <= 1
    assert counts["normal test images 8 % darker, flagged"] == SEEDS
    assert counts["anomalous images 8 % brighter, flagged"] == SEEDS
    # Each is told from the other: brighter anomalies leave the normal test images like the training images.
    assert sum(first for first, _ in brighter) == sum(first for first, _ in clean)


def test_a_defect_that_is_bright_itself_is_no_confounder():
    train, good, bad, masks = draw(3)
    for image, mask in zip(bad, masks, strict=True):
        image[mask] = 255
    found = compare(train, good, bad, masks)
    assert not any(c.flagged() for c in found)
    assert {c.groups for c in found} == {NORMAL_AGAINST_TRAINING, AWAY_FROM_DEFECTS}
    without = [c for c in compare(train, good, bad) if c.groups == WHOLE_IMAGES]
    assert min(c.p_value for c in without) < ALPHA
    assert not any(c.flagged() for c in without)
    words = data_findings(compare(train, good, bad))[1]
    assert words.flagged is None
    assert "cannot be told" in words.words[0]


def test_the_rate_of_false_alarms_is_the_one_that_was_chosen():
    """The tests' p-values on pictures without any difference, many more than could be rendered."""
    rng, alarms, trials = np.random.default_rng(0), 0, 100
    for _ in range(trials):
        pictures = rng.integers(60, 190, (50, 1, 1, 3)) + rng.integers(-40, 40, (50, 8, 8, 3))
        pictures = list(pictures.astype(np.uint8))
        alarms += flags(pictures[:20], pictures[20:35], pictures[35:])[0]
    assert alarms <= 4  # 1 % is one; five or more would come once in 270 times


def test_holm_is_the_textbook_procedure():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(size=6) ** 3
        rejected, left = set(), 6
        for i in np.argsort(p):
            if p[i] > 0.05 / left:
                break
            rejected.add(i)
            left -= 1
        assert set(np.flatnonzero(holm(p) <= 0.05)) == rejected


def test_too_few_images_are_refused():
    train, good, bad, masks = draw(0, n_train=4, n_good=4, n_defect=1)
    with pytest.raises(InputError, match="at least 5 training images, there are 4"):
        compare(train, good, bad, masks)
    with pytest.raises(InputError, match="at least 5 normal test images, there are 4"):
        compare(train * 2, good, bad, masks)


def test_a_change_alone_is_no_alarm():
    row = {"matched": "channels", "predictor": "sum", "before": 0.6, "after": 0.9,
           "change": 0.3, "change_low": 0.2, "change_high": 0.4}  # fmt: skip
    assert detector_finding([row], confounded=True).flagged
    assert detector_finding([row], confounded=False).flagged is False
    unsure = {**row, "change_low": -0.1}
    assert detector_finding([unsure], confounded=True).flagged is False
    assert "+30.0 points (95 % interval +20.0 to +40.0)" in detector_finding([row], confounded=True).words[0]


def test_blank_pictures_have_a_distance():
    train, test = np.ones((5, 3)), np.array([[1.0, 1, 1], [4, 1, 5]])
    found = predictor_distances(train, test, {1: 1, 2: 2}, [1, 2, "sum", "joint"])
    assert {k: v.tolist() for k, v in found.items()} == {1: [0, 3], 2: [0, 4], "sum": [0, 7], "joint": [0, 5]}


# --- whole audits ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    return synthesize(root, categories=["nut"], n_train=24, n_test_good=16, n_test_defect=5, size=SIZE)


def planted(clean, root, folder, factor):
    """Copy the data, with the pictures in a folder of the test set as under another exposure."""
    shutil.copytree(clean, root)
    for path in (root / "nut" / "test").glob(f"{folder}/*.png"):
        (image,) = scaled([np.asarray(Image.open(path))], factor)
        Image.fromarray(image).save(path)
    return root


def audited(root, **options):
    extractor = gad.FeatureExtractor(
        "squeezenet1_1", weights="random", levels=[1, 2, 3], size=SIZE, progress=False
    )
    return audit(checks.Subject.of(gad.MVTecDataset(root, "nut"), extractor), **options)


@pytest.fixture(scope="module")
def of_clean(clean):
    return audited(clean, matches=("channels", "brightness"))


def test_an_audit_of_clean_data_flags_nothing(of_clean):
    found = of_clean
    assert not found.flagged
    assert [row["matched"] for row in found.photometry.rows] == ["channels"] * 5 + ["brightness"] * 5
    assert 0.2 < found.region.mean() < 0.8
    assert [row["predictor"] for row in found.background] == ["level 1", "level 2", "level 3", "sum", "joint"]


def test_an_audit_of_darker_normal_images_says_what_is_wrong(clean, tmp_path):
    found = audited(planted(clean, tmp_path / "dark", "good", 0.92))
    copies, normal, anomalous, detector, background = found.findings
    assert [finding.flagged for finding in (normal, anomalous, detector, background)] == [True] * 4
    assert not copies.flagged
    assert "differ from training images in brightness" in " ".join(normal.words)
    assert normal.advice
    # Darker normal images look anomalous: without the confounder the detector is better.
    (total,) = [row for row in found.photometry.rows if row["predictor"] == "sum"]
    assert total["change_low"] > 0
    assert found.background[-1]["after"] < 0.2


def test_an_audit_of_brighter_anomalies_says_that_the_detector_cheats(clean, tmp_path):
    found = audited(planted(clean, tmp_path / "bright", "[!g]*", 1.08))
    _, normal, anomalous, detector, _ = found.findings
    assert [finding.flagged for finding in (normal, anomalous, detector)] == [False, True, True]
    (total,) = [row for row in found.photometry.rows if row["predictor"] == "sum"]
    assert total["change_high"] < 0


def test_copies_are_reported_first_and_the_background_is_not_blamed_for_them(clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "copied")
    train, good = (root / "nut" / split / "good" for split in ("train", "test"))
    names = [path.name for path in sorted(good.iterdir())]
    for name in names:
        shutil.copy(train / name, good / name)
    Image.open(train / names[0]).save(train / "again.bmp")
    found = audited(root)
    copies, *_, background = found.findings
    assert copies.flagged
    assert "16 of 31 test images" in copies.words[0]
    assert f"test/good/{names[0]} is train/good/{names[0]}" in copies.words[0]
    assert "1 of 25 training images" in copies.words[1]
    assert found.background[-1]["adjusted"] <= ALPHA
    assert background.flagged is None
    assert "copies" in background.words[-1]
    write_tables(tmp_path / "rows", [found])
    rows = read_rows(tmp_path / "rows", "copies")
    assert [row["split"] for row in rows] == ["test"] * 16 + ["train"]
    assert list(rows[-1].values())[-2:] == ["train/good/again.bmp", f"train/good/{names[0]}"]


def test_rows_of_copies_that_are_gone_do_not_stay(of_clean, tmp_path):
    row = {"category": "nut", "backbone": "squeezenet1_1", "split": "test", "image": "a", "original": "b"}
    for stay in ([], [{**row, "category": "other"}]):
        write_csv(tmp_path / "copies.csv", [row, *stay])
        write_tables(tmp_path, [of_clean])
        assert (tmp_path / "copies.csv").is_file() == bool(stay)
    assert read_rows(tmp_path, "copies") == stay


def test_only_images_whose_defect_is_taken_out_say_something_of_the_background(clean):
    found = audited(clean, centre=0.2)
    assert {row["counted"] for row in found.background} == {0}
    assert {row["reaching"] for row in found.background} == {15}
    assert {row["p_value"] for row in found.background} == {None}
    finding = found.findings[-1]
    assert (finding.flagged, finding.verdict) == (None, "no verdict")
    assert "in 15 it reaches outside of the centre" in finding.words[0]
    assert "larger --centre" in finding.advice


def test_a_defect_that_touches_the_edge_of_what_is_taken_out_reaches_outside():
    region = np.zeros((8, 8), dtype=bool)
    region[2:7, 2:7] = True
    masks = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    masks[0, 3:6, 3:6] = masks[1, 3:6, 3:7] = masks[2, 7, 7] = 255
    split = Split(("a",) * 5, ("x",) * 3 + ("good", "x"), (*masks, None, None))
    reaching = reaches_outside(split, region)
    assert reaching == [False, True, True, None, None]
    assert counted_images(split.labels, reaching).tolist() == [True, False, False, True, False]


def test_the_background_finding_says_who_counts():
    row = {"region": "object", "share": 0.5, "predictor": "sum", "anomalous": 20, "reaching": 3,
           "counted": 15, "blind": 0.9, "blind_low": 0.8, "blind_high": 1.0, "adjusted": 0.001}  # fmt: skip
    found = background_finding([row])
    assert found.flagged
    assert "Of 20 anomalous images 15 count here" in found.words[-1]
    assert "in 3 it reaches outside of the object" in found.words[-1]
    assert "for 2 there is no mask" in found.words[-1]
    all_count = background_finding([{**row, "reaching": 0, "counted": 20, "adjusted": 0.5}])
    assert (all_count.flagged, len(all_count.words)) == (False, 1)
    unmasked = background_finding([{**row, "reaching": None, "counted": 20}])
    assert unmasked.flagged
    assert "No image has a mask" in unmasked.words[-1]
    centre = background_finding([{**row, "region": "centre", "reaching": None, "counted": 20}])
    assert centre.flagged is None
    assert "masks" in centre.advice


def test_rows_of_other_categories_stay(of_clean, tmp_path):
    found = of_clean
    write_tables(tmp_path, [found])
    rows = read_rows(tmp_path, "photometry")
    other = [{**row, "category": "other"} for row in rows]
    write_csv(tmp_path / "photometry.csv", other + [{**row, "before": 0.0} for row in rows])
    write_tables(tmp_path, [found])
    assert read_rows(tmp_path, "photometry") == rows + other
    (tmp_path / "photometry.csv").write_text("category,backbone\nother,squeezenet1_1\n")
    with pytest.raises(InputError, match="other columns"):
        write_tables(tmp_path, [found])


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    root = tmp_path_factory.mktemp("few")
    return synthesize(root, categories=["nut"], n_train=20, n_test_good=5, n_test_defect=2, size=SIZE)


@pytest.fixture
def command(few, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path / "cache"))

    def run(*argv, root=few):
        network = ["--backbone", "squeezenet1_1", "--weights", "random", "--levels", "1-2", "--quiet"]
        status = main(["audit", "--data", str(root), "--category", "nut", *network, *map(str, argv)])
        return status, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_the_command_prints_a_report_and_writes_page_rows_and_json(command, tmp_path):
    page, summary, folder = tmp_path / "audit.html", tmp_path / "audit.json", tmp_path / "rows"
    status, out, _ = command(
        "--combine", "sum", "--patches", "--html", page, "--json", summary, "--csv", folder
    )
    assert status == 0
    assert out.count("not flagged") == 5
    assert "object taken out" in out
    assert "no verdict" in out
    content = json.loads(summary.read_text())["audits"][0]
    assert content["flagged"] is False
    assert content["photometry"][0]["predictor"] == "sum"
    assert {row["test"] for row in content["repair"]} == {"repair", "repair control"}
    assert {row["fill"] for row in content["repair"]} == {"nearest image", "median image", "surroundings"}
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{n}.csv" for n in ("statistics", "photometry", "background", "repair", "transplant")}
    text = page.read_text()
    assert "data:image/png;base64" in text
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|<script", text)


def test_the_report_names_what_was_taken_out(command, tmp_path):
    _, out, _ = command("--combine", "1", "--centre", "0.5", "--html", tmp_path / "audit.html")
    text = out + (tmp_path / "audit.html").read_text()
    assert out.count("centre taken out") == 1
    assert "The same, centre taken out" in text
    assert "object taken out" not in text


def test_what_an_audit_cannot_work_on_is_refused_in_one_line(command, few, tmp_path):
    def lacking(name, *folders):
        shutil.copytree(few, tmp_path / name)
        for folder in folders:
            for path in (tmp_path / name / "nut").glob(folder):
                shutil.rmtree(path)
        return tmp_path / name

    for root, options, message in (
        (lacking("no-defects", "test/[!g]*"), [], "no anomalous test image"),
        (lacking("no-good", "test/good"), [], "no normal test image"),
        (lacking("no-masks", "ground_truth"), ["--patches"], "no masks"),
        (few, ["--centre", "85"], "between 0 and 1"),
        (few, ["--combine", "9"], "combine must be one of"),
    ):
        status, out, error = command("--combine", "1", *options, root=root)
        assert (status, out) == (2, "")
        assert message in error
        assert error.count("\n") == 1


def test_the_parser_knows_the_matches_of_the_checks():
    from gad_core.cli.arguments.audit import MATCHES

    assert set(MATCHES) == set(checks.MATCHES)


# --- stored rows of real images ----------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["bottle", "screw", "transistor"])
def test_stored_rows_start_from_the_features_that_ship(category):
    features = gad.embedded_features(category, "efficientnet_b4")
    predictors = [7, "joint"]
    found = predictor_distances(features.train, features.test, features.level_widths, predictors)
    for name in ("photometry", "background"):
        for combine in predictors:
            rows = stored_rows(name, "explain", category=category, predictor=predictor_name(combine))
            assert rows
            for row in rows:
                assert row["before"] == pytest.approx(auroc(features.labels, found[combine]), abs=1e-6)
                assert row["before"] + row["change"] == pytest.approx(row["after"])
                assert row["change_low"] <= row["change"] <= row["change_high"]
    for name in ("repair", "transplant"):
        for row in stored_rows(name, "explain", category=category, defect="all"):
            assert row["flipped"] <= row["eligible"] <= row["images"] == sum(
                stored["images"]
                for stored in stored_rows(name, "explain", category=category, test=row["test"],
                                          fill=row["fill"], predictor=row["predictor"])
                if stored["defect"] != "all"
            )  # fmt: skip


def test_the_stored_rows_of_screw_show_its_confounder():
    (brightness,) = stored_rows("statistics", "explain", category="screw", groups=NORMAL_AGAINST_TRAINING,
                                statistic="brightness")  # fmt: skip
    assert brightness["flagged"] == "True"
    assert brightness["first"] < brightness["second"] - 10
    (total,) = stored_rows("photometry", "explain", category="screw", predictor="sum", matched="luminance")
    assert total["change_low"] > 0.1
