"""Makes pixels from the bytes of a JPEG or PNG file. Knows Pillow and nothing of PyTorch.

The header is read first: what is no image, is animated or has too many pixels is refused before anything is decoded.
Geometry is that of torchvision on PIL images (shorter side, bilinear with antialiasing, centre crop), and a picture is
always decoded in full (no scaled-down JPEG decoding), so that the model sees what it saw in training.
"""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from server.wire.models import ImageSettings

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit only warns; the sidecar's refuses

ORIENTATION = 0x0112
_SIGNATURES = {
    b"GIF8": "a GIF file",
    b"RIFF": "a WebP file",
    b"BM": "a BMP file",
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"%PDF": "a PDF file",
    b"\0\0\0": "a HEIC or AVIF file",
}
EXPECTED = "a JPEG or PNG file"
Size = tuple[int, int]


class Unfit(Exception):
    """Some bytes cannot be this model's image: what was expected, what was got, what to do."""

    def __init__(self, expected: str, got: str, hint: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.got = got
        self.hint = hint


def pixels(data: bytes, settings: ImageSettings) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The image as the model sees it, (height, width, channels) of bytes. Raises Unfit."""
    if not data:
        raise Unfit(EXPECTED, "no bytes", "send the file's bytes; in JSON, as base64")
    try:
        file = Image.open(BytesIO(data), formats=("JPEG", "PNG"))
        _check_header(file, settings)
        file.load()
        image = _colored(_upright(file), settings.color)
    except Unfit:
        raise
    except Exception as e:  # what Pillow and zlib raise for a bad file has no common class
        raise _unreadable(data, e) from e
    image = _placed(image, settings)
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array


def _check_header(image: Image.Image, settings: ImageSettings) -> None:
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise Unfit("a single picture", "an animated PNG file", "send one of its frames")
    if image.width * image.height > settings.max_pixels:
        got = f"{image.width} x {image.height} pixels"
        raise Unfit(f"at most {settings.max_pixels:,} pixels", got, "scale the image down before you send it")


def _unreadable(data: bytes, error: Exception) -> Unfit:
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            return Unfit(EXPECTED, name, "convert it to JPEG or PNG")
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return Unfit(f"a whole {EXPECTED[2:]}", "a file that is damaged or cut off", "send all bytes of the file")
    return Unfit(EXPECTED, f"{len(data)} bytes of something else", "send the file's bytes; in JSON, as base64")


def _upright(image: Image.Image) -> Image.Image:
    """The image, turned and mirrored as the camera says. One whose EXIF cannot be read is taken as it is."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
        return image if orientation == 1 else ImageOps.exif_transpose(image)
    except Exception:  # as above
        return image


def _colored(image: Image.Image, color: str) -> Image.Image:
    """The image in RGB or gray. Transparency is dropped, as torchvision's loader does."""
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "L" if color == "gray" else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _placed(image: Image.Image, settings: ImageSettings) -> Image.Image:
    if settings.resize is not None:
        size = resized(image.size, settings.resize)
        if size[0] * size[1] > settings.max_pixels:
            got = f"{image.width} x {image.height} pixels"
            hint = "its shorter side is enlarged, and the longer one becomes too long"
            raise Unfit("an image whose sides differ less", got, hint)
        if size != image.size:
            image = image.resize(size, Image.Resampling.BILINEAR)
    if settings.crop is not None:
        image = image.crop(crop_box(image.size, settings.crop))
    return image


def resized(size: Size, resize: Any) -> Size:
    """The (width, height) after resizing to `resize`: [height, width], or the length of the shorter side."""
    if not isinstance(resize, int):
        return int(resize[1]), int(resize[0])
    width, height = size
    if width <= height:
        return resize, max(1, int(resize * height / width))
    return max(1, int(resize * width / height)), resize


def crop_box(size: Size, crop: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part that is cut out of the middle.

    Beyond a small image's border it is black.
    """
    height, width = (crop, crop) if isinstance(crop, int) else (int(crop[0]), int(crop[1]))
    left, top = _margin(size[0], width), _margin(size[1], height)
    return left, top, left + width, top + height


def _margin(whole: int, part: int) -> int:
    """Where the middle begins, rounded as torchvision does.

    It rounds otherwise where the image must be padded first.
    """
    return -((part - whole) // 2) if part > whole else round((whole - part) / 2)


def fixed_size(settings: ImageSettings) -> Size | None:
    """The (height, width) that every image has in the end; None where that depends on the image."""
    size = settings.crop if settings.crop is not None else settings.resize
    if isinstance(size, int):
        return None if settings.crop is None else (size, size)
    return None if size is None else (int(size[0]), int(size[1]))


def blank(size: Size) -> bytes:
    """A small PNG file of one gray, to be an example."""
    file = BytesIO()
    Image.new("L", (size[1], size[0]), 127).save(file, "PNG")
    return file.getvalue()


def base64_of(data: bytes) -> str:
    """Bytes as a text for JSON."""
    return b64encode(data).decode()
