"""What the command line says of itself, and in one line of what it cannot do."""

import json
from pathlib import Path

import pytest
from cli_pictures import NETWORK, picture, put
from safetensors.torch import save_file

import gad_core as gad
from gad_core.backbones import build, get_backbone
from gad_core.cli import main
from gad_core.cli.parser import build_parser


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ("nowhere", "no category 'nowhere' in"),
        ("bare", "has no folder train/good: put the normal training images there"),
        ("empty", "has no image"),
        ("truncated", "good/001.png is truncated"),
        ("text", "good/001.png is not an image that can be read"),
        ("one", "a spread needs at least 2 normal samples"),
        ("equal", "all 5 training samples are equal"),
    ],
)
def test_bad_training_images_are_named(refused, tmp_path, category, message):
    good = {c: tmp_path / c / "train/good" for c in ("empty", "truncated", "text", "one", "equal")}
    (tmp_path / "bare/test/good").mkdir(parents=True)
    good["empty"].mkdir(parents=True)
    put(good["one"], 1)
    for name in ("truncated", "text"):
        put(good[name], 4)
    broken = good["truncated"] / "001.png"
    broken.write_bytes(broken.read_bytes()[:900])
    (good["text"] / "001.png").write_text("no image")
    good["equal"].mkdir(parents=True)
    for i in range(5):
        picture(0).save(good["equal"] / f"{i}.png")
    model = tmp_path / "m.safetensors"
    assert message in refused("fit", "--data", tmp_path, "--category", category, *NETWORK, "--out", model)
    assert not model.exists()


def test_bad_requests_are_named(refused, root, tmp_path):
    fit = ("fit", "--data", root, "--category", "nut", *NETWORK)
    evaluate = ("evaluate", "--data", root, *NETWORK)
    model = tmp_path / "m.safetensors"
    cases = [
        (("evaluate", "--data", tmp_path / "none", *NETWORK), "no such folder"),
        (("evaluate", "--data", tmp_path, *NETWORK), "there must be folders with train/good"),
        (("evaluate", *NETWORK), "--data"),
        ((*evaluate, "--category", "own"), "has 0 normal and 0 anomalous test images"),
        ((*evaluate, "--category", "nut", "--folds", 99), "folds must be 0"),
        ((*evaluate, "--category", "nut", "--combine", 9), "combine must be one of sum, joint, 1, 2, 3"),
        ((*evaluate, "--category", "nut", "--combine", "max"), "is no way to combine levels"),
        ((*evaluate, "--category", "nut", "--reduce", "pca:2"), "is no subspace"),
        ((*evaluate, "--category", "nut", "--covariance", "full"), "invalid choice"),
        ((*evaluate, "--category", "nut", "--levels", "0-3"), "has the levels 1 to 9"),
        ((*evaluate, "--category", "nut", "--backbone", "vgg"), "no backbone is called 'vgg'"),
        ((*evaluate, "--category", "nut", "--weights", tmp_path / "w"), "no such weights file"),
        (
            (*evaluate, "--category", "nut", "--device", "warp", "--no-cache"),
            'device "warp" is not available',
        ),
        ((*evaluate, "--category", "nut", "--json", "/proc/none/r.json"), "cannot write /proc/none/r.json"),
        ((*evaluate, "--category", "nut", "--json", tmp_path), "it is no regular file"),
        ((*fit, "--out", model, "--fpr", 5), "fpr is a fraction"),
        ((*fit, "--out", "/proc/none/m"), "cannot write /proc/none/m"),
        ((*fit, "--out", model, "--images", root), "argument --images: not allowed with argument --data"),
        (("fit", "--images", root, "--data", root, "--out", model), "--data: not allowed with argument --im"),
        (("fit", "--images", root, "--category", "nut", "--out", model), "not both"),
        (("fit", "--data", root, *NETWORK, "--out", model), "--category is missing; in"),
        (("fit", "--images", root, *NETWORK, "--out", model), "subfolders are not searched"),
        (
            ("fit", "--data", root / "nut", "--category", "nut", *NETWORK, "--out", model),
            "is a category itself",
        ),
        (("fit", *NETWORK, "--out", model), "give --images FOLDER, or --data ROOT and --category C"),
        (
            (*fit, "--out", model, "--threshold", "conformal"),
            "needs at least 19 calibration samples, there are 6",
        ),
        (("score", tmp_path / "none", root), "no such model"),
        (("score", model), "the following arguments are required: PATH"),
        (("sing",), "invalid choice: 'sing'"),
        (("synthesize", root / "nut/train/good/000.png"), "is a file: name a folder"),
        (("synthesize", "/proc/none", "--quiet"), "cannot write /proc/none"),
        (("synthesize", root), "nut is there already: choose another folder"),
        (("synthesize", root, "--overwrite"), "did not write"),
        ((*fit, "--seed", "9" * 23, "--out", model), "seed must be a whole number"),
        ((*fit, "--out", model, "--json", model), "it is used twice"),
        (("info", "--json", "/proc/none.json"), "cannot write /proc/none.json"),
        ((*evaluate, "--category", "nut", "--folds", 99, "--json", tmp_path / "new/r.json"), "folds must be"),
        (("synthesize", tmp_path / "s", "--category", "unicorn"), "unicorn"),
        (("download", "unicorn", "--root", tmp_path), "unicorn"),
    ]
    for argv, message in cases:
        assert message in refused(*argv), argv
    assert not model.exists()
    assert not (tmp_path / "new").exists()


ARGUMENTS = {
    "evaluate": ["--data", "d"],
    "fit": ["--images", "d", "--out", "m"],
    "score": ["m", "i.png"],
    "localise": ["--data", "d"],
    "audit": ["--data", "d"],
    "features": ["export", "--data", "d", "--out", "o"],
    "reproduce": ["all"],
}


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_cache_is_named_or_refused_but_not_both(refused, command):
    words = (command, *ARGUMENTS[command])
    message = "argument --no-cache: not allowed with argument --cache"
    assert message in refused(*words, "--cache", "c", "--no-cache")
    for options, cache in ([], "auto"), (["--no-cache"], None), (["--cache", "c"], "c"):
        assert build_parser().parse_args([*words, *options]).cache == cache


def test_a_folder_of_images_may_be_given_where_the_environment_names_a_data_set(monkeypatch, tmp_path):
    monkeypatch.setenv("GAD_DATA", str(tmp_path))
    args = build_parser().parse_args(["fit", "--images", "i", "--out", "m"])
    assert (args.images, args.data) == (Path("i"), tmp_path)


def test_weights_without_the_needed_tensors(refused, root, tmp_path):
    network = build(get_backbone("squeezenet1_1"), 2, seed=0)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "w.safetensors")
    options = [*NETWORK[:2], "--weights", tmp_path / "w.safetensors", *NETWORK[4:]]
    line = refused("fit", "--data", root, "--category", "nut", *options, "--out", tmp_path / "m")
    assert "lacks 6 of the 14 tensors" in line
    assert "ask for fewer levels" in line


def test_the_parsers_choices_are_the_librarys():
    from typing import get_args

    from gad_core.cli.arguments.fit import COVARIANCES, THRESHOLDS
    from gad_core.covariance import Covariance
    from gad_core.detector import Threshold

    assert get_args(Covariance) == COVARIANCES
    assert get_args(Threshold) == THRESHOLDS


def test_unexpected_errors_are_one_line_unless_debugging(run, monkeypatch, root):
    def broken(args):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("gad_core.cli.evaluate.run", broken)
    status, _, err = run("evaluate", "--data", root)
    assert (status, err) == (
        1,
        "gad: error: unexpected ZeroDivisionError: division by zero (GAD_DEBUG=1 shows where)\n",
    )
    monkeypatch.setenv("GAD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["evaluate", "--data", str(root)])


KEPT = "gad: error: interrupted; what is finished is kept, run again to go on\n"
NOT_KEPT = "gad: error: interrupted; no features are kept without a cache, a second run begins anew\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["evaluate", "--data", "d"], KEPT),
        (["evaluate", "--data", "d", "--no-cache"], NOT_KEPT),
        (["evaluate", "--data", "d", "--profile"], NOT_KEPT),
        (["fit", "--images", "d", "--no-cache", "--out", "m"], NOT_KEPT),
        (["synthesize", "d"], KEPT),
        (["reproduce", "all", "--no-cache"], KEPT),
    ],
)
def test_an_interrupt_is_one_line_that_says_what_is_kept(run, monkeypatch, argv, message):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"gad_core.cli.{argv[0]}.run", interrupted)
    status, _, err = run(*argv)
    assert (status, err) == (130, message)


def test_info_and_help(run, tmp_path):
    status, out, _ = run("info", "--json", tmp_path / "i.json")
    assert status == 0
    facts = json.loads((tmp_path / "i.json").read_text())
    assert facts["gad_core"] == gad.__version__
    assert {"name": "efficientnet_b4", "levels": 9, "size": 380, "features": 2944}.items() <= facts[
        "backbones"
    ][4].items()
    assert "efficientnet_b4" in out
    for name in ("evaluate", "fit", "score", "synthesize", "download", "info"):
        status, out, _ = run(name, "--help")
        assert status == 0
        assert out.startswith(f"usage: gad {name}")
    assert run("--version")[1] == f"gad-core {gad.__version__}\n"
