import threading

import numpy as np
import pytest
from PIL import Image

from gad_core import decoding
from gad_core.cache import image_digest
from gad_core.decoding import as_sources, decoded_batches
from gad_core.errors import InputError
from gad_core.resize import resize_bilinear
from gad_core.threads import thread_count


def picture(seed, height=9, width=7):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_as_sources(tmp_path):
    image = picture(0)
    for single in ("a.png", tmp_path, image, image[:, :, 0]):
        assert len(as_sources(single)) == 1
    assert as_sources(np.array(["a", "b"])) == ["a", "b"]
    assert as_sources(name for name in "ab") == ["a", "b"]
    assert len(as_sources(np.zeros((3, 4, 4, 3), np.uint8))) == 3
    for nothing in ([], np.zeros((0, 4, 4, 3), np.uint8), ()):
        with pytest.raises(InputError, match="there is no image"):
            as_sources(nothing)
    with pytest.raises(InputError, match="paths or arrays, not int"):
        as_sources(3)


def test_batches_hold_images_and_digests_in_order(tmp_path):
    images = [picture(i, 5 + i, 6) for i in range(5)]
    path = tmp_path / "1.png"
    Image.fromarray(images[1]).save(path)
    sources = [images[0], path, *images[2:]]
    batches = list(decoded_batches(sources, [[0, 1], [4], [3, 2]], 8, with_digests=True))
    assert [where for where, _, _ in batches] == [[0, 1], [4], [3, 2]]
    for where, decoded, digests in batches:
        for i, image, digest in zip(where, decoded, digests, strict=True):
            np.testing.assert_array_equal(image, resize_bilinear(images[i], 8))
            assert digest == image_digest(path.read_bytes() if i == 1 else images[i])


def test_the_caller_has_one_batch_and_one_is_decoded_ahead():
    begun, received = 0, 0

    def batches():
        nonlocal begun
        for _ in range(20):
            begun += 1
            yield [0]

    for _ in decoded_batches([picture(0)], batches(), 4, with_digests=False):
        received += 1
        assert begun == min(received + 1, 20)
    assert received == 20


def test_the_next_batch_is_decoded_during_the_present_one(monkeypatch):
    decoded = threading.Event()
    real = decoding.resize_bilinear

    def resize(image, size):
        if image[0, 0, 0] == 1:
            decoded.set()
        return real(image, size)

    monkeypatch.setattr(decoding, "resize_bilinear", resize)
    sources = [np.full((2, 2, 3), i, np.uint8) for i in range(3)]
    batches = decoded_batches(sources, [[0], [1], [2]], 4, with_digests=False)
    next(batches)
    assert decoded.wait(timeout=10)
    batches.close()


@pytest.mark.skipif(thread_count() < 2, reason="one thread has nothing to do beside the image it waits for")
def test_the_next_batch_is_queued_while_the_present_one_is_waited_for(monkeypatch):
    begun = threading.Event()
    real = decoding.resize_bilinear

    def resize(image, size):
        if image[0, 0, 0] == 0:
            assert begun.wait(60), "the image of the next batch was not begun"
        begun.set()
        return real(image, size)

    monkeypatch.setattr(decoding, "resize_bilinear", resize)
    sources = [np.full((2, 2, 3), i, np.uint8) for i in range(2)]
    assert len(list(decoded_batches(sources, [[0], [1]], 4, with_digests=False))) == 2


def test_an_unreadable_image_is_named_after_the_batches_before_it(tmp_path):
    sources = [picture(0), picture(1), tmp_path / "absent.png", np.zeros((2, 2), np.float64), 7]
    batches = decoded_batches(sources, [[0], [1], [2]], 4, with_digests=False)
    assert [next(batches)[0], next(batches)[0]] == [[0], [1]]
    with pytest.raises(InputError, match=r"absent\.png"):
        next(batches)
    for i, message in ((3, "image array 3: an image array must be"), (4, "image 4 must be a path")):
        with pytest.raises(InputError, match=message):
            list(decoded_batches(sources, [[i]], 4, with_digests=False))
