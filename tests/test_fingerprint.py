import numpy as np
import pytest

from gad_core.errors import InputError
from gad_core.fingerprint import calibration_sha256, require_same_features

FITTED = {
    "backbone": "resnet18",
    "weights": "a.pth",
    "weights_sha256": "ab12" * 16,
    "levels": [1, 2],
    "size": 224,
    "resize": "bilinear",
    "seed": None,
    "calibration_sha256": None,
    "gad_core": "0.1.0",
}


def test_names_of_files_and_versions_may_differ():
    require_same_features(FITTED, {**FITTED, "weights": "renamed.pth", "gad_core": "9"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights_sha256", "cd34" * 16, r"ab12ab12ab12\.\.\., this is cd34cd34cd34\.\.\.: .*--weights"),
        ("weights_sha256", None, "this is none: .*--weights"),
        ("backbone", "resnet34", "backbone resnet18, this is resnet34"),
        ("levels", [2], "levels 1,2, this is 2: .*--levels"),
        ("size", 112, "size 224, this is 112"),
        ("resize", "other", "resize bilinear, this is other"),
        ("seed", 1, "seed none, this is 1"),
        ("calibration_sha256", "ef56" * 16, "calibration sha256 none, this is ef56"),
    ],
)  # fmt: skip
def test_what_differs_is_named(key, value, message):
    with pytest.raises(InputError, match=message):
        require_same_features(FITTED, {**FITTED, key: value})


def test_the_runtime_may_differ_in_float32_only():
    fitted = {**FITTED, "precision": "fp32", "runtime": "torch"}
    require_same_features(fitted, {**fitted, "runtime": "openvino"})
    require_same_features(FITTED, fitted)  # models of before say neither
    low = {**fitted, "precision": "bf16"}
    require_same_features(low, low)
    with pytest.raises(InputError, match=r"runtime torch, this is openvino: .*--runtime"):
        require_same_features(low, {**low, "runtime": "openvino"})
    with pytest.raises(InputError, match="precision fp32, this is bf16"):
        require_same_features(FITTED, low)


def test_calibration_hash_depends_on_names_and_values_alone():
    a, b = np.arange(3, dtype=np.float32), np.ones(2, np.float32)
    same = calibration_sha256({"x": a, "y": b})
    assert same == calibration_sha256({"y": b.copy(), "x": a[::-1][::-1]})
    others = ({"x": a}, {"x": a, "z": b}, {"x": b, "y": a}, {"x": a, "y": b + 1}, {})
    assert len({same, *map(calibration_sha256, others)}) == 6
    assert calibration_sha256(None) is None
