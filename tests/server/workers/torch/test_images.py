"""Images: geometry is torchvision's, every kind of PNG and JPEG is read, and all else is refused by what it is."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from server.wire.models import ImageSettings
from server.workers.torch.images import Unfit, blank, crop_box, fixed_size, pixels, resized

RGB = ImageSettings(None, None, "rgb", 1 / 255, None, None, 1_000_000)
GRAY = replace(RGB, color="gray")
sides = st.integers(1, 5000)


def file_of(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


@given(sides, sides, st.integers(1, 600))
def test_the_shorter_side_becomes_what_is_asked_for(width: int, height: int, resize: int) -> None:
    new = resized((width, height), resize)
    assert min(new) == resize or max(new) == resize
    assert new[0] == resize if width <= height else new[1] == resize
    longer, ideal = max(new), max(width, height) * resize / min(width, height)
    assert ideal - 1 < longer <= ideal + 1e-6


@given(sides, sides, sides, sides)
def test_a_crop_has_its_size_and_lies_in_the_middle(width: int, height: int, crop_height: int, crop_width: int) -> None:
    left, top, right, bottom = crop_box((width, height), (crop_height, crop_width))
    assert (right - left, bottom - top) == (crop_width, crop_height)
    assert abs(left - (width - right)) <= 1
    assert abs(top - (height - bottom)) <= 1


@given(sides, sides, st.sampled_from([None, 7, (5, 9)]), st.sampled_from([None, 4, (3, 6)]))
def test_what_is_said_to_be_fixed_is(width: int, height: int, resize: Any, crop: Any) -> None:
    fixed = fixed_size(replace(RGB, resize=resize, crop=crop))
    size = resized((width, height), resize) if resize is not None else (width, height)
    left, top, right, bottom = crop_box(size, crop) if crop is not None else (0, 0, *size)
    if fixed is not None:
        assert fixed == (bottom - top, right - left)


def test_pixels_are_those_of_pillow() -> None:
    image = picture(size=(40, 30))
    settings = replace(RGB, resize=20, crop=(16, 18))
    small = image.resize((26, 20), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels(file_of(image), settings), np.asarray(small.crop((4, 2, 22, 18))))


def test_a_crop_beyond_the_border_is_black_there() -> None:
    cropped = pixels(file_of(Image.new("L", (2, 2), 9)), replace(GRAY, crop=4))
    assert cropped[:, :, 0].tolist() == [[0, 0, 0, 0], [0, 9, 9, 0], [0, 9, 9, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("settings", [RGB, GRAY], ids=["rgb", "gray"])
def test_every_mode_of_png_is_converted(mode: str, settings: ImageSettings) -> None:
    image = picture(mode)
    expected = np.asarray(image.convert("RGB" if settings is RGB else "L"))
    np.testing.assert_array_equal(pixels(file_of(image), settings).squeeze(), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg_is_converted(mode: str) -> None:
    data = file_of(picture(mode), "JPEG")
    np.testing.assert_array_equal(pixels(data, RGB), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


def test_sixteen_bits_a_pixel_become_eight() -> None:
    deep = Image.fromarray(np.array([[0, 256, 65535]], np.uint16))
    assert pixels(file_of(deep), GRAY)[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_turned_as_its_exif_says(kind: str, orientation: int) -> None:
    image = Image.new("L", (32, 16))
    image.paste(255, (0, 0, 16, 8))  # the top left quarter is white
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = pixels(file_of(image, kind, exif=exif), GRAY)[:, :, 0]
    assert turned.shape == ((16, 32) if orientation < 5 else (32, 16))
    height, width = turned.shape
    white = [turned[y, x] > 128 for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    corner = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 1, 7: 3, 8: 2}[orientation]
    assert [bool(w) for w in white] == [k == corner for k in range(4)]


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "no bytes"),
    "text": (b"hello", "5 bytes of something else"),
    "gif": (file_of(picture("P"), "GIF"), "a GIF file"),
    "webp": (file_of(picture(), "WEBP"), "a WebP file"),
    "bmp": (file_of(picture(), "BMP"), "a BMP file"),
    "tiff": (file_of(picture(), "TIFF"), "a TIFF file"),
    "animated": (
        file_of(picture(), save_all=True, append_images=[picture("L").convert("RGB")]),
        "an animated PNG file",
    ),
    "half a JPEG": (file_of(picture(size=(60, 60)), "JPEG")[:-200], "a file that is damaged or cut off"),
    "half a PNG": (file_of(picture(size=(60, 60)))[:-200], "a file that is damaged or cut off"),
    "only a JPEG's start": (b"\xff\xd8\xff\xe0", "a file that is damaged or cut off"),
    "bomb": (bomb(60_000, 60_000), "60000 x 60000 pixels"),
}


@pytest.mark.parametrize(("data", "got"), BAD.values(), ids=BAD)
def test_what_is_no_single_picture_is_refused_by_what_it_is(data: bytes, got: str) -> None:
    with pytest.raises(Unfit) as refused:
        pixels(data, RGB)
    assert refused.value.got == got
    assert refused.value.hint and refused.value.expected


def test_a_long_thin_picture_cannot_become_a_bomb() -> None:
    with pytest.raises(Unfit, match="sides differ less"):
        pixels(file_of(Image.new("L", (20_000, 1))), replace(GRAY, resize=256))


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", file_of(picture())[:60]]))
def test_whatever_the_bytes_it_is_an_image_or_refused(tail: bytes, head: bytes) -> None:
    try:
        assert pixels(head + tail, RGB).ndim == 3
    except Unfit as refused:
        assert refused.got


def test_the_blank_image_is_one() -> None:
    assert pixels(blank((3, 5)), GRAY).shape == (3, 5, 1)
