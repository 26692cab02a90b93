"""Every kind of file that a folder may hold has a defined outcome."""

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qc.domain.errors import BadImage
from qc.domain.frame import CameraFault, Pixels
from qc.ingest.decode import decode, read_image

Encode = Callable[..., bytes]


def rgb(scene: Pixels) -> Image.Image:
    return Image.fromarray(scene[:, :, ::-1])


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def close(pixels: Pixels, expected: Pixels, tolerance: float) -> bool:
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    return float(np.abs(pixels.astype(int) - expected).mean()) <= tolerance


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [("PNG", {}, 0), ("BMP", {}, 0), ("TIFF", {}, 0), ("TIFF", {"compression": "tiff_lzw"}, 0), ("JPEG", {"quality": 95}, 3)],
)
def test_ordinary_pictures_keep_their_colours(scene: Pixels, encode: Encode, kind: str, options: dict, tolerance: float) -> None:
    assert close(decode(encode(scene, kind, **options), name="x"), scene, tolerance)


def test_progressive_jpeg_and_bytes_behind_the_end(scene: Pixels, encode: Encode) -> None:
    data = encode(scene, "JPEG", quality=95, progressive=True) + b"\0" * 64
    assert close(decode(data, name="x"), scene, 3)


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("1", "PNG"), ("L", "TIFF")])
def test_grey_becomes_three_equal_channels(scene: Pixels, encode: Encode, mode: str, kind: str) -> None:
    grey = rgb(scene).convert(mode)
    pixels = decode(encode(grey, kind), name="x")
    expected = np.repeat(np.asarray(grey.convert("L"))[:, :, None], 3, axis=2)
    assert close(pixels, expected, 2)
    assert (pixels[:, :, 0] == pixels[:, :, 2]).all()


def test_palette(scene: Pixels, encode: Encode) -> None:
    assert close(decode(encode(rgb(scene).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), name="x"), scene, 8)


def test_alpha_is_dropped_and_the_colour_under_it_stays(scene: Pixels, encode: Encode) -> None:
    transparent = rgb(scene).convert("RGBA")
    transparent.putalpha(0)
    assert close(decode(encode(transparent, "PNG"), name="x"), scene, 0)


def test_cmyk(scene: Pixels, encode: Encode) -> None:
    assert close(decode(encode(rgb(scene).convert("CMYK"), "JPEG", quality=95), name="x"), scene, 4)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_scaled_by_its_full_range(scene: Pixels, suffix: str, channels: int) -> None:
    eight = scene if channels == 3 else cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
    encoded = cv2.imencode(suffix, eight.astype(np.uint16) * 257)[1].tobytes()
    expected = eight if channels == 3 else cv2.cvtColor(eight, cv2.COLOR_GRAY2BGR)
    assert close(decode(encoded, name="x"), expected, 0)


def test_a_dark_16_bit_picture_stays_dark() -> None:
    encoded = cv2.imencode(".png", np.full((8, 8), 4095, np.uint16))[1].tobytes()
    assert (decode(encoded, name="x") == 15).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "turn"), [(6, cv2.ROTATE_90_CLOCKWISE), (3, cv2.ROTATE_180), (8, cv2.ROTATE_90_COUNTERCLOCKWISE)]
)
def test_exif_rotation_is_applied_once(scene: Pixels, encode: Encode, kind: str, orientation: int, turn: int) -> None:
    options = {"quality": 95} if kind == "JPEG" else {}
    data = encode(scene, kind, exif=exif(orientation), **options)
    assert close(decode(data, name="x"), cv2.rotate(scene, turn), 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated(scene: Pixels, encode: Encode, kind: str, share: float) -> None:
    data = encode(scene, kind)
    with pytest.raises(BadImage, match=r"x\.img") as caught:
        decode(data[: int(len(data) * share)], name="x.img")
    # A TIFF keeps its directory at the end: without it, nobody can tell how it was cut.
    assert caught.value.fault in (CameraFault.TRUNCATED, CameraFault.UNREADABLE if kind == "TIFF" else CameraFault.TRUNCATED)


def test_a_preview_inside_a_truncated_jpeg_does_not_hide_the_cut(scene: Pixels, encode: Encode, jpeg: bytes) -> None:
    preview = encode(scene[:16, :16], "JPEG")
    app1 = b"\xff\xe1" + (len(preview) + 8).to_bytes(2, "big") + b"Hello\0" + preview
    whole = jpeg[:2] + app1 + jpeg[2:]
    assert decode(whole, name="x").shape == scene.shape
    with pytest.raises(BadImage) as caught:
        decode(whole[:-200], name="x")
    assert caught.value.fault is CameraFault.TRUNCATED


def test_a_file_whose_tail_was_never_written(jpeg: bytes) -> None:
    with pytest.raises(BadImage) as caught:
        decode(jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 2), name="x")
    assert caught.value.fault is CameraFault.TRUNCATED


def test_a_png_with_a_flipped_bit_is_refused(scene: Pixels, encode: Encode) -> None:
    data = bytearray(encode(scene, "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BadImage):
        decode(bytes(data), name="x")


@pytest.mark.parametrize("size", [(60_000, 60_000), (20_000, 6_000)])
def test_decompression_bomb_is_seen_in_the_header(encode: Encode, size: tuple[int, int]) -> None:
    header_only = encode(Image.new("1", (8, 8)), "PNG")
    bomb = bytearray(header_only)
    bomb[16:24] = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big")
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(BadImage, match="megapixels") as caught:
        decode(bytes(bomb), name="x")
    assert caught.value.fault is CameraFault.UNREADABLE


def test_the_megapixel_limit_is_the_callers(scene: Pixels, encode: Encode) -> None:
    data = encode(scene, "PNG")
    assert decode(data, name="x", max_megapixels=0.0048).shape == (60, 80, 3)
    with pytest.raises(BadImage, match=r"limit is 0\.0047"):
        decode(data, name="x", max_megapixels=0.0047)


@pytest.mark.parametrize(
    "data",
    [b"", b"not an image", b"GIF89a", b"RIFF....WEBP", b"\0" * 100, b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0"],
)
def test_what_is_no_picture_is_unreadable(data: bytes) -> None:
    with pytest.raises(BadImage, match=r"x\.png") as caught:
        decode(data, name="x.png")
    assert caught.value.fault is CameraFault.UNREADABLE
    assert caught.value.source_ref == "x.png"


@pytest.mark.parametrize("magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\x00", b"MM\x00*"])
def test_the_first_bytes_alone_are_no_picture(magic: bytes) -> None:
    with pytest.raises(BadImage, match="header is damaged"):
        decode(magic, name="x.png")


@pytest.mark.parametrize("mode", ["F", "I"])
def test_float_and_32_bit_are_refused(scene: Pixels, encode: Encode, mode: str) -> None:
    with pytest.raises(BadImage, match=f"mode {mode}"):
        decode(encode(rgb(scene).convert(mode), "TIFF"), name="x")


@settings(max_examples=150, deadline=None)
@given(start=st.integers(0, 2000), junk=st.binary(min_size=1, max_size=40), kind=st.sampled_from(["JPEG", "PNG", "BMP", "TIFF"]))
def test_damaged_bytes_give_pixels_or_bad_image_and_nothing_else(start: int, junk: bytes, kind: str) -> None:
    buffer = io.BytesIO()
    Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 20).save(buffer, kind)
    data = bytearray(buffer.getvalue())
    data[start % len(data) : start % len(data) + len(junk)] = junk
    try:
        pixels = decode(bytes(data), name="x", max_megapixels=1)
    except BadImage:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


def test_read_image(tmp_path: Path, scene: Pixels, encode: Encode) -> None:
    path = tmp_path / "part-1.png"
    path.write_bytes(encode(scene, "PNG"))
    assert close(read_image(path), scene, 0)


def test_directory_pipe_and_absent_file_with_an_images_name(tmp_path: Path) -> None:
    (tmp_path / "directory.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("directory.png", "pipe.png", "absent.png"):
        with pytest.raises(BadImage, match=name) as caught:
            read_image(tmp_path / name)
        assert caught.value.fault is CameraFault.UNREADABLE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_permission_denied(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(jpeg)
    path.chmod(0)
    with pytest.raises(BadImage, match="Permission denied"):
        read_image(path)


def test_a_file_too_large_for_any_allowed_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(BadImage, match="50000000 bytes"):
        read_image(path, max_megapixels=1)
