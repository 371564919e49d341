import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from gad_core import images
from gad_core.errors import InputError
from gad_core.images import (
    decode_image,
    list_images,
    load_image,
    read_bytes,
    read_image,
    skipped_entries,
)
from gad_core.resize import resize_bilinear


def noise(height=12, width=9, channels=3, dtype=np.uint8, seed=0):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def encoded(image, file_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def test_list_images_sorts_and_ignores_the_rest(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.TiFF", ".hidden.png", "notes.txt", "no_suffix"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inner.png").touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.TiFF"]


def test_what_is_left_out_is_counted_by_its_reason(tmp_path):
    for name in ("a.jfif", "b.JPG", ".hidden.png", "notes.txt", "photo.gif"):
        (tmp_path / name).touch()
    assert skipped_entries(tmp_path) == {"other suffixes": 2}
    for name in ("inner", "folder.png", "more"):
        (tmp_path / name).mkdir()
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "linked.png").symlink_to("b.JPG")
    os.mkfifo(tmp_path / "pipe.png")
    expected = {"subfolders": 3, "other suffixes": 2, "dangling links": 1, "pipes or devices": 1}
    assert skipped_entries(tmp_path) == expected
    assert [path.name for path in list_images(tmp_path)] == ["a.jfif", "b.JPG", "linked.png"]


def test_a_pipe_or_a_device_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(InputError, match=f"{path} is a pipe or a device; give a regular file"):
            read_bytes(path)


def test_list_images_refuses_what_has_none(tmp_path):
    (tmp_path / "file.png").touch()
    (tmp_path / "empty").mkdir()
    for path, message in (("absent", "no such folder"), ("file.png", "is a file"), ("empty", "has no image")):
        with pytest.raises(InputError, match=f"{path}.*{message}"):
            list_images(tmp_path / path)


@pytest.mark.parametrize(
    "file_format", ["PNG", "BMP", "TIFF", "PPM", pytest.param("WEBP", id="lossless WEBP")]
)
def test_lossless_formats_return_the_pixels(tmp_path, file_format):
    pixels = noise()
    path = tmp_path / "image.png"
    path.write_bytes(encoded(Image.fromarray(pixels), file_format, lossless=True))
    np.testing.assert_array_equal(read_image(path), pixels)
    np.testing.assert_array_equal(read_image(str(path)), pixels)


def test_greyscale_and_one_bit_are_repeated():
    grey = noise(channels=0)
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(grey)), "grey"), expected)
    np.testing.assert_array_equal(read_image(grey), expected)
    bits = decode_image(encoded(Image.fromarray(grey > 127)), "bits")
    np.testing.assert_array_equal(bits, np.where(expected > 127, 255, 0))


def test_alpha_is_ignored():
    pixels = noise(channels=4)
    for got in (decode_image(encoded(Image.fromarray(pixels)), "RGBA"), read_image(pixels)):
        np.testing.assert_array_equal(got, pixels[:, :, :3])
    grey_alpha = Image.fromarray(pixels[:, :, :2].copy(), mode="LA")
    got = decode_image(encoded(grey_alpha), "LA")
    np.testing.assert_array_equal(got, np.repeat(pixels[:, :, :1], 3, axis=2))


@pytest.mark.filterwarnings("error")
def test_palette_with_and_without_transparency():
    pixels = noise(4, 4)
    paletted = Image.fromarray(pixels).quantize(16)
    for options in ({}, {"transparency": bytes(range(16))}):
        got = decode_image(encoded(paletted, **options), "P")
        np.testing.assert_array_equal(got, np.asarray(paletted.convert("RGB")))


def test_sixteen_bit_takes_the_high_byte():
    grey = noise(channels=0, dtype=np.uint16)
    expected = np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_image(grey), expected)
    for file_format in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(grey), file_format)
        np.testing.assert_array_equal(decode_image(data, "16 bit"), expected)
    wide = encoded(Image.fromarray(grey.astype(np.int32)), "TIFF")
    np.testing.assert_array_equal(decode_image(wide, "32 bit"), expected)
    colour = noise(dtype=np.uint16)
    np.testing.assert_array_equal(read_image(colour), colour >> 8)


def test_cmyk_is_converted():
    black = Image.new("CMYK", (3, 2), (0, 0, 0, 255))
    assert not decode_image(encoded(black, "TIFF"), "CMYK").any()


@pytest.mark.parametrize(
    ("file_format", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
def test_exif_orientation_is_applied(file_format, options):
    pixels = noise(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    got = decode_image(encoded(Image.fromarray(pixels), file_format, exif=exif, **options), "turned")
    np.testing.assert_array_equal(got, np.rot90(pixels, -1))


@pytest.mark.parametrize("file_format", ["JPEG", "MPO"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_turned_jpeg_is_the_upright_one_turned(file_format, mode):
    image = Image.fromarray(noise(16, 24)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright, turned = (decode_image(encoded(image, file_format, **o), "") for o in ({}, {"exif": exif}))
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_what_was_read_can_be_drawn_on(tmp_path, mode):
    Image.fromarray(noise(4, 6)).convert(mode).save(tmp_path / "image.png")
    image = read_image(tmp_path / "image.png")
    image[:] = 0
    assert read_image(tmp_path / "image.png").any()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF", "PPM"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_truncated_file_is_never_padded(file_format):
    data = encoded(Image.fromarray(noise(40, 30)), file_format)
    for length in {*range(0, len(data), 37), *range(len(data) - 15, len(data))}:
        with pytest.raises(InputError, match=r"cut\.img"):
            decode_image(data[:length], "cut.img")


def test_refuses_to_read_while_pillow_would_pad(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(InputError, match="LOAD_TRUNCATED_IMAGES"):
        decode_image(encoded(Image.fromarray(noise())), "image")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_an_image_or_an_input_error(data):
    content = bytearray(encoded(Image.fromarray(noise(8, 8)), data.draw(st.sampled_from(["PNG", "JPEG"]))))
    for _ in range(3):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(content), "damaged")
    except InputError as error:
        assert "damaged" in str(error)  # noqa: PT017 - most examples raise, but a changed pixel need not
    else:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


def test_unusable_files_name_the_file_and_the_remedy(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "float.tif").write_bytes(encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"))
    frames = [Image.fromarray(noise(seed=i)) for i in range(2)]
    (tmp_path / "frames.tif").write_bytes(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    negative = Image.fromarray(np.full((3, 3), -1, np.int32))
    (tmp_path / "negative.tif").write_bytes(encoded(negative, "TIFF"))
    for name, message in (
        ("absent.png", "check the path"),
        ("text.png", "save it as PNG"),
        ("empty.png", "save it as PNG"),
        ("folder.png", "is a folder"),
        ("float.tif", 'mode "F"'),
        ("frames.tif", "holds 2 images"),
        ("negative.tif", "outside 0..65535"),
        ("nul\0.png", "cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)


def test_too_large_images_are_not_decoded(monkeypatch):
    data = encoded(Image.fromarray(noise(20, 20)))
    monkeypatch.setattr(images, "MAX_PIXELS", 399)
    with pytest.raises(InputError, match="bomb has more than"):
        decode_image(data, "bomb")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="bomb has more than"):
        decode_image(data, "bomb")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.int16),
        np.zeros((4, 4), bool),
    ],
)
def test_unusable_arrays(array):
    with pytest.raises(InputError, match="an image array must be"):
        read_image(array)


def test_other_types_are_refused():
    with pytest.raises(InputError, match="must be a path or a numpy array, not float"):
        read_image(1.0)


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_resize_agrees_with_torch(height, width, size, seed):
    image = noise(height, width, seed=seed)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    exact = torch.nn.functional.interpolate(batch, (size, size), mode="bilinear", align_corners=False)
    exact = exact[0].permute(1, 2, 0).numpy()
    # Only a value within float32 rounding of a tie may be rounded the other way.
    assert np.abs(resize_bilinear(image, size) - exact).max() <= 0.5 + 1e-3


def test_resize_by_hand():
    row = np.zeros((1, 2, 3), np.uint8)
    row[0, 1] = 100
    np.testing.assert_array_equal(resize_bilinear(row, 4)[2, :, 1], [0, 25, 75, 100])
    # No antialiasing: shrinking four columns to one looks at the middle two only.
    columns = np.array([[[255] * 3, [10] * 3, [20] * 3, [255] * 3]], np.uint8)
    assert resize_bilinear(columns, 1).tolist() == [[[15, 15, 15]]]


def test_resize_keeps_constants_and_fitting_images():
    image = noise(7, 7)
    assert resize_bilinear(image, 7) is image
    np.testing.assert_array_equal(
        resize_bilinear(np.full((31, 17, 3), 93, np.uint8), 13), np.full((13, 13, 3), 93)
    )
    assert load_image(noise(5, 9, channels=0), 6).shape == (6, 6, 3)


@pytest.mark.parametrize("name", ["train/good/000.png", "test/good/001.png", "test/broken_small/000.png"])
def test_resize_reproduces_the_resized_mvtec_images(shared: Path, name):
    resized = read_image(shared / "mvtec" / "bottle" / name)
    np.testing.assert_array_equal(load_image(shared / "mvtec_original" / "bottle" / name, 380), resized)
