"""Features by OpenVINO against those by torch; the whole way from image files is in test_features."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

pytest.importorskip("openvino", reason="the package openvino is not installed (extra fast)")

from gad_core import FeatureExtractor, GaussianDetector
from gad_core.backbones import BACKBONES
from gad_core.errors import InputError
from gad_core.openvino_graph import convert, quicker_in_blocks, vector_extensions
from gad_core.openvino_runtime import MOST_STREAMS, CompiledNetwork, supports_bf16
from gad_core.runtime import load_network, torch_features
from gad_core.threads import limited_threads, thread_count

pytestmark = pytest.mark.slow

SIZE = 64


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype(np.uint8)


def embedded(**options):
    return FeatureExtractor("embedded", **{"progress": False, "size": SIZE, **options})


@pytest.fixture(scope="module")
def fast():
    """An extractor whose network is converted and compiled once for several tests."""
    return embedded(runtime="openvino")


def started(extractor):
    return extractor._networks.start_features(extractor._spec(), None)


def requests(extractor):
    return extractor._networks.compile(extractor._spec(), None, with_maps=False)._requests


# One of each family: their operations differ.
FAMILIES = ["efficientnet_b0", "resnet18", "squeezenet1_1", "mobilenet_v3_large", "convnext_tiny", "embedded"]


needs_blocks = pytest.mark.skipif(
    not quicker_in_blocks("fp32"), reason="channels in blocks are for processors with AVX2"
)
IN_BLOCKS = [False, pytest.param(True, marks=needs_blocks)]


def random_network(name, depth):
    return load_network(BACKBONES[name], depth, None, 0, None, torch.device("cpu"))


@pytest.mark.parametrize("in_blocks", IN_BLOCKS)
@pytest.mark.parametrize("name", FAMILIES)
def test_features_and_maps_agree_with_torch(name, in_blocks, images):
    backbone = BACKBONES[name]
    network = random_network(name, len(backbone.widths))
    expected = torch_features(network, torch.device("cpu"))(images)()
    (found,) = CompiledNetwork.compile(convert(network, SIZE, in_blocks=in_blocks)).start(images)()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    model = convert(network, SIZE, with_maps=True, in_blocks=in_blocks)
    maps = CompiledNetwork.compile(model).start(images)()
    assert [m.shape[1] for m in maps] == list(backbone.widths)
    averages = np.concatenate([m.mean(axis=(2, 3)) for m in maps], axis=1)
    assert np.abs(averages - found).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.skipif(not supports_bf16(), reason="the processor has no bfloat16 arithmetic")
@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18", "embedded"])
def test_bfloat16_loses_digits_and_no_more(name, images):
    network = random_network(name, len(BACKBONES[name].widths))
    model = convert(network, SIZE)
    exact, rounded = (
        CompiledNetwork.compile(model, precision).start(images)()[0] for precision in ("fp32", "bf16")
    )
    error = np.abs(rounded - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 5e-2


@pytest.mark.parametrize("in_blocks", IN_BLOCKS)
def test_averages_of_large_maps_keep_their_digits(in_blocks):
    """One sum over such a map, number by number, would be wrong by 1e-4."""
    network, size = random_network("efficientnet_b4", 1), 380
    image = np.full((1, size, size, 3), 250, dtype=np.uint8)
    image[:, ::7] = 240
    (found,) = CompiledNetwork.compile(convert(network, size, in_blocks=in_blocks)).start(image)()
    model = convert(network, size, with_maps=True, in_blocks=in_blocks)
    (maps,) = CompiledNetwork.compile(model).start(image)()
    expected = maps.mean(axis=(2, 3), dtype=float)
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def layouts(network):
    operations = network._compiled.get_runtime_model().get_ordered_ops()
    return [
        operation.get_rt_info()["outputLayouts"].value
        for operation in operations
        if operation.get_rt_info()["layerType"].value == "Convolution"
    ]


@needs_blocks
def test_channels_are_in_blocks_where_asked_for():
    """OpenVINO may ignore the wish, and the network would only be slower."""
    network = random_network("efficientnet_b0", 3)
    for in_blocks in (False, True):
        compiled = CompiledNetwork.compile(convert(network, SIZE, in_blocks=in_blocks))
        assert bool({"aBcd8b", "aBcd16b"} & set(layouts(compiled))) is in_blocks


PRECISIONS = [
    "fp32",
    pytest.param(
        "bf16", marks=pytest.mark.skipif(not supports_bf16(), reason="the processor lacks bfloat16")
    ),
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("in_blocks", IN_BLOCKS)
@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny", "embedded"])
def test_an_imported_network_is_the_one_that_was_exported(name, in_blocks, precision, images):
    model = convert(random_network(name, 3), SIZE, in_blocks=in_blocks)
    first = CompiledNetwork.compile(model, precision)
    with limited_threads(1):  # the number of processors is not in what was exported
        content = CompiledNetwork.compile(model, precision).exported()
    second = CompiledNetwork.imported(content, precision)
    del content
    assert layouts(second) == layouts(first)
    assert len(second._requests) == len(first._requests)
    np.testing.assert_array_equal(second.start(images)()[0], first.start(images)()[0])


@pytest.mark.parametrize(
    ("baseline", "found", "expected"),
    [
        (["SSE", "SSE2"], ["SSE42", "AVX2"], True),
        (["X86_V2"], ["X86_V3"], True),
        (["X86_V3"], [], True),
        (["X86_V2"], ["X86_V3", "X86_V4"], True),
        (["SSE"], ["AVX2", "AVX512F"], True),
        (["SSE", "SSE2"], ["SSE42"], False),
        (["NEON"], ["ASIMDHP"], False),
        ([], [], False),
    ],
)
def test_blocks_are_for_float32_on_processors_with_avx2(monkeypatch, baseline, found, expected):
    extensions = {"SIMD Extensions": {"baseline": baseline, "found": found}}
    monkeypatch.setattr(np, "show_config", lambda mode: {"dicts": extensions}[mode])
    assert quicker_in_blocks("fp32") is expected
    assert ("AVX-512" in vector_extensions()) is bool({"X86_V4", "AVX512F"} & set(found))
    assert not quicker_in_blocks("bf16")


def test_every_family_is_there():
    families = {name.split("_b")[0].rstrip("0123456789") for name in BACKBONES}
    assert {name.split("_b")[0].rstrip("0123456789") for name in FAMILIES} >= families - {"wide_resnet50_"}


def test_features_do_not_depend_on_batch_or_processors(fast, images):
    expected = fast.transform(images)
    for batch_size in (1, 2, 3, 5):
        found = fast.set_params(batch_size=batch_size).transform(images)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(fast.transform(images[::-1])[::-1], expected)
    with limited_threads(1):
        np.testing.assert_array_equal(embedded(runtime="openvino").transform(images), expected)


def test_batches_may_overlap(fast, images):
    """Many more images in flight than requests, waited for late and in another order."""
    expected = fast.transform(images)
    start = started(fast)
    waits = [start(images[[i]]) for i in (0, 1, 2, 3, 4) * 4]
    found = [wait()[0] for wait in reversed(waits)][::-1]
    np.testing.assert_array_equal(found, np.tile(expected, (4, 1)))


def test_threads_may_share_an_extractor(fast, images):
    expected = fast.transform(images)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: fast.transform(images), range(12)):
            np.testing.assert_array_equal(found, expected)


def test_a_limit_of_threads_is_kept(images):
    extractor = embedded(runtime="openvino", levels=1)
    extractor.transform(images)
    assert len(requests(extractor)) == 2 * min(thread_count(), MOST_STREAMS)
    with limited_threads(1):
        extractor.transform(images)
        assert len(requests(extractor)) == 2


def test_a_cache_that_cannot_be_written_is_refused(tmp_path, images):
    (tmp_path / "file").touch()
    extractor = embedded(runtime="openvino", cache=tmp_path / "file")
    for use in (extractor.transform, lambda given: next(extractor.maps(given))):
        with pytest.raises(InputError, match="cannot be written"):
            use(images)


def test_an_image_may_change_after_its_start(fast, images):
    expected = fast.transform(images[:1])
    image = images[:1].copy()
    wait = started(fast)(image)
    image[:] = 0
    np.testing.assert_array_equal(wait(), expected)


def test_maps_and_calibration(images):
    fast = FeatureExtractor(
        "resnet18", weights="random", levels=[1, 3], size=SIZE, runtime="openvino", progress=False
    ).fit(images)
    slow = FeatureExtractor("resnet18", weights="random", levels=[1, 3], size=SIZE, runtime="torch")
    slow.set_calibration(fast.calibration_)
    for found, expected in zip(fast.maps(images), slow.maps(images), strict=True):
        assert found.keys() == expected.keys() == {1, 3}
        for level in found:
            np.testing.assert_allclose(found[level], expected[level], atol=1e-4 * expected[level].max())
    np.testing.assert_allclose(fast.transform(images), slow.transform(images), rtol=1e-3, atol=1e-5)


def test_a_model_fitted_by_torch_scores_features_of_openvino(tmp_path, images):
    rng = np.random.default_rng(1)
    train = [np.clip(image + rng.integers(-9, 9, image.shape), 0, 255).astype(np.uint8) for image in images]
    slow = embedded(runtime="torch")
    detector = GaussianDetector(slow.level_widths, threshold="chi2").fit(slow.transform(train))
    detector.save(tmp_path / "model", slow)
    fast = FeatureExtractor.from_fingerprint(slow.fingerprint(), runtime="openvino", progress=False)
    assert fast.fingerprint()["runtime"] == "openvino"
    assert slow.fingerprint()["runtime"] == "torch"
    np.testing.assert_allclose(
        detector.mahalanobis(fast.transform(images)), detector.mahalanobis(slow.transform(images)), rtol=1e-4
    )


def test_profile_knows_network_and_pooling(images):
    extractor = embedded(runtime="openvino")
    plain = extractor.transform(images)
    with extractor.profiled() as times:
        np.testing.assert_array_equal(extractor.transform(images), plain)
    assert set(times.busy) == {"loading", "read and hash", "decode", "resize", "network"}
    assert 0 < times.work["pooling"] < times.work["network"]
    slow = embedded(runtime="torch")
    with slow.profiled() as times:
        slow.transform(images)
    assert {"network", "pooling"} <= times.busy.keys() - times.work.keys()


SECOND_RUN = """
import sys, numpy as np
from gad_core import FeatureExtractor
cache, images, out = sys.argv[1:]
extractor = FeatureExtractor("embedded", size=64, cache=cache, runtime="openvino", progress=False)
np.save(out, extractor.transform(np.load(images)))
print("torch" in sys.modules)
"""


def test_a_kept_network_needs_no_torch(tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    first = embedded(runtime="openvino", cache=tmp_path / "cache").transform(images[:1])
    arguments = [tmp_path / "cache", tmp_path / "images.npy", tmp_path / "found.npy"]
    done = subprocess.run(
        [sys.executable, "-c", SECOND_RUN, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy")[:1], first)


def kept(folder):
    return sorted((folder / "networks").iterdir())


def test_a_damaged_kept_network_is_converted_again(tmp_path, images):
    cache = tmp_path / "cache"
    expected = embedded(runtime="openvino", levels=1, cache=cache).transform(images[:2])
    (path,) = kept(cache)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0x40  # among the weights, where OpenVINO would take it without a word
    for damaged, reason in (
        (content[:-100], "is damaged"),
        (bytes(flipped), "its checksum is another"),
        (b"", "is damaged"),
        (b"nonsense" * 9, "is damaged"),
    ):
        path.write_bytes(damaged)
        with pytest.warns(RuntimeWarning, match=reason):
            found = embedded(runtime="openvino", levels=1, cache=cache).transform(images[2:])
        assert path.read_bytes() != damaged
        for entry in cache.rglob("*.npz"):
            entry.unlink()
    np.testing.assert_array_equal(
        found, embedded(runtime="openvino", levels=1, cache=None).transform(images[2:])
    )
    np.testing.assert_array_equal(
        embedded(runtime="openvino", levels=1, cache=cache).transform(images[:2]), expected
    )


def test_a_kept_network_that_openvino_refuses_is_made_again(tmp_path, images, monkeypatch):
    options = {"runtime": "openvino", "levels": 1, "cache": tmp_path}
    expected = embedded(**options).transform(images)
    for entry in tmp_path.rglob("*.npz"):
        entry.unlink()

    def refuse(*_):
        raise RuntimeError("Exception from src/core.cpp:237:\nmissing instructions\n\n")

    monkeypatch.setattr(CompiledNetwork, "imported", refuse)
    with pytest.warns(RuntimeWarning, match=r"another processor .* \(missing instructions\); it is not used"):
        found = embedded(**options).transform(images)
    np.testing.assert_array_equal(found, expected)
    assert len(kept(tmp_path)) == 1


def test_whatever_decides_the_network_decides_the_kept_one(tmp_path, images):
    cache = tmp_path / "cache"
    random = {"weights": "random", "runtime": "openvino", "cache": cache, "levels": 1}
    squeeze = {"backbone": "squeezenet1_1", "progress": False, "size": SIZE}
    for variant in ({}, {"size": 32}, {"seed": 1}, {"levels": 2}):
        FeatureExtractor(**{**squeeze, **random, **variant}).transform(images[:1])
    next(FeatureExtractor(**{**squeeze, **random}).maps(images[:1]))
    assert len(kept(cache)) == 5
    FeatureExtractor(**{**squeeze, **random}).transform(images)
    assert len(kept(cache)) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("openvino.__version__", "1.0"), ("gad_core.network_cache.processor", lambda: {"name": "another"})],
)
def test_a_kept_network_is_for_one_version_and_processor(tmp_path, images, monkeypatch, name, value):
    embedded(runtime="openvino", levels=1, cache=tmp_path).transform(images[:1])
    monkeypatch.setattr(name, value)
    embedded(runtime="openvino", levels=1, cache=tmp_path).transform(images[1:2])
    assert len(kept(tmp_path)) == 2


@pytest.mark.skipif(not supports_bf16(), reason="the processor has no bfloat16 arithmetic")
def test_a_kept_network_is_for_one_precision(tmp_path, images):
    for precision in ("fp32", "bf16"):
        embedded(runtime="openvino", levels=1, cache=tmp_path, precision=precision).transform(images[:1])
    assert len(kept(tmp_path)) == 2


def test_a_kept_network_is_timed_too(tmp_path, images):
    for image in images[:2]:
        extractor = embedded(runtime="openvino", levels=1, cache=tmp_path)
        with extractor.profiled() as times:
            extractor.transform([image])
        assert 0 < times.work["pooling"] < times.work["network"]


def test_a_network_that_cannot_be_kept_is_an_error_with_its_remedy(tmp_path, images, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gad_core.network_cache.save_file", full)
    with pytest.raises(InputError, match=r"networks .*No space left.* make room there.*without \(cache=None"):
        embedded(runtime="openvino", levels=1, cache=tmp_path).transform(images[:1])
    assert kept(tmp_path) == []


def test_blocks_are_asked_for_in_the_precision_that_is_computed_in(monkeypatch, images):
    asked = []
    monkeypatch.setattr(
        "gad_core.openvino_graph.quicker_in_blocks", lambda precision: asked.append(precision)
    )
    monkeypatch.setattr("gad_core.execution._has_bf16", lambda: True)
    monkeypatch.setattr(CompiledNetwork, "compile", lambda *_: None)
    options = {"runtime": "openvino", "precision": "bf16", "size": SIZE, "progress": False}
    mobile = FeatureExtractor("mobilenet_v3_large", "random", [1], **options).fit(images)
    for with_maps in (False, True):
        mobile._networks.compile(mobile._spec(), None, with_maps=with_maps)
    assert asked == ["bf16", "fp32"]  # maps are always float32


def test_a_kept_network_is_for_one_kind_of_processor(tmp_path, images, monkeypatch):
    mobile = {"backbone": "mobilenet_v3_large", "levels": 1, "size": SIZE, "runtime": "openvino"}
    counts = []
    for quicker in (False, False, True):
        monkeypatch.setattr("gad_core.openvino_graph.quicker_in_blocks", lambda _, quicker=quicker: quicker)
        extractor = FeatureExtractor(**mobile, weights="random", cache=tmp_path, progress=False)
        extractor.fit(images).transform(images[:1])
        counts.append(len(kept(tmp_path)))
        for entry in tmp_path.rglob("*.npz"):
            entry.unlink()
    assert counts == [1, 1, 2]
