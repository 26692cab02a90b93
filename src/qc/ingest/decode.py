"""Bytes of an image file -> pixels, safely. Training decodes with the same function, so both see the same pixels.

=====================  ==========================================================================
JPEG, PNG, BMP, TIFF   decoded; anything else (by its first bytes, not its name) is UNREADABLE
grey, palette, 1 bit   repeated or looked up into three channels
alpha                  dropped; the stored colour stays
16 bit                 the high byte of the full range, never stretched per picture: dark stays dark
CMYK                   converted to RGB without a colour profile
EXIF orientation       applied
0 bytes, not an image  UNREADABLE
ends early             TRUNCATED; no half-grey pictures
too many megapixels    UNREADABLE, found in the header before anything is decoded
float, 32 bit          UNREADABLE
=====================  ==========================================================================
"""

import io
import stat
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from qc.domain.errors import BadImage
from qc.domain.frame import CameraFault, Pixels

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
"""File name endings (lower case) that folder sources take for pictures."""

DEFAULT_MAX_MEGAPIXELS = 100.0
"""Above every common industrial camera; one such picture takes 300 MB."""

# The plug-ins are called directly: Image.open would try every format that Pillow knows, among them ones that start other programs.
_FORMATS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"BM", BmpImageFile),
    (b"II*\x00", TiffImageFile),
    (b"MM\x00*", TiffImageFile),
)
_JPEG_END = b"\xff\xd9"
_PNG_END = b"IEND\xaeB`\x82"
_EXIF_ORIENTATION = 0x0112
_PNG_TAIL_BYTES = 65_536  # where an EXIF chunk behind the pixels is looked for
_MAX_BYTES_PER_PIXEL = 8  # uncompressed 16-bit RGBA; a file larger than that per allowed pixel is not read at all


def read_image(path: Path, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Pixels:
    """Pixels of the file, (H, W, 3) uint8 BGR. Raises BadImage, also when the file cannot be opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a named pipe would block for ever
            raise BadImage(f"{path.name}: is not a file (a directory or device has an image's name)", source_ref=path.name)
        limit_bytes = int(max_megapixels * 1e6 * _MAX_BYTES_PER_PIXEL) + 1_000_000
        if status.st_size > limit_bytes:
            raise BadImage(f"{path.name}: {status.st_size} bytes, the limit is {limit_bytes}", source_ref=path.name)
        data = path.read_bytes()
    except OSError as error:
        raise BadImage(f"{path.name}: cannot be read: {error.strerror or error}", source_ref=path.name) from error
    return decode(data, name=path.name, max_megapixels=max_megapixels)


def decode(data: bytes, *, name: str, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Pixels:
    """Pixels of an encoded picture, (H, W, 3) uint8 BGR, upright.

    name appears in messages. Raises BadImage with fault UNREADABLE or TRUNCATED.
    """
    if not data:
        raise BadImage(f"{name}: is empty (0 bytes)", source_ref=name)
    try:
        header, header_bytes = _open(data)
    except Exception as error:  # decoders raise almost anything on hostile bytes; this is their border
        raise BadImage(f"{name}: the image header is damaged: {error}", source_ref=name, fault=_fault_of(error)) from error
    if header is None:
        raise BadImage(f"{name}: is not a JPEG, PNG, BMP or TIFF picture", source_ref=name)
    width, height = header.size
    megapixels = width * height / 1e6
    if megapixels > max_megapixels or not megapixels:
        raise BadImage(
            f"{name}: {width} x {height} is {megapixels:.1f} megapixels; the limit is {max_megapixels:g}", source_ref=name
        )
    if _ends_early(header, data, header_bytes):
        raise BadImage(
            f"{name}: the file ends early (truncated after {len(data)} bytes)", source_ref=name, fault=CameraFault.TRUNCATED
        )
    try:
        pixels = _decode_fast(data) if _is_ordinary(header, data) else _decode_any(header)
    except Exception as error:  # as above
        raise BadImage(f"{name}: the image data is damaged: {error}", source_ref=name, fault=_fault_of(error)) from error
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise BadImage(f"{name}: the image data is damaged or of an unsupported kind (mode {header.mode})", source_ref=name)
    return pixels


def _open(data: bytes) -> tuple[ImageFile | None, int]:
    """Pillow's view of the header and the number of bytes it took; nothing is decoded yet."""
    for magic, plugin in _FORMATS:
        if data.startswith(magic):
            stream = io.BytesIO(data)
            return plugin(stream), stream.tell()
    return None, 0


def _ends_early(header: ImageFile, data: bytes, header_bytes: int) -> bool:
    """OpenCV fills the missing part of a truncated JPEG with grey and says nothing, so the end marker is looked for here.

    Behind the header: an embedded preview has an end marker of its own.
    """
    if isinstance(header, JpegImageFile):
        return data.rfind(_JPEG_END) < header_bytes
    if isinstance(header, PngImageFile):
        return data.rfind(_PNG_END) < header_bytes
    return False


def _is_ordinary(header: ImageFile, data: bytes) -> bool:
    """8-bit grey or colour JPEG or PNG without an orientation: what cameras write and OpenCV reads fastest."""
    if header.mode not in ("L", "RGB"):
        return False
    if isinstance(header, JpegImageFile):
        return bool(header.getexif().get(_EXIF_ORIENTATION, 1) == 1)
    bit_depth = data[24]
    has_exif = "exif" in header.info or b"eXIf" in data[-_PNG_TAIL_BYTES:]  # before or, rarely, behind the pixels
    return isinstance(header, PngImageFile) and bit_depth == 8 and not has_exif


def _decode_fast(data: bytes) -> Pixels | None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _decode_any(header: ImageFile) -> Pixels | None:
    header.load()
    upright: Image.Image = ImageOps.exif_transpose(header)
    if upright.mode.startswith("I;16"):
        grey16 = np.asarray(upright).astype(np.uint16)
        return cv2.cvtColor((grey16 >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    if upright.mode in ("I", "F"):
        return None
    if upright.mode == "LA":
        upright = upright.getchannel("L")
    elif upright.mode in ("RGBA", "RGBX"):
        upright = Image.merge("RGB", upright.split()[:3])
    return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])


def _fault_of(error: Exception) -> CameraFault:
    ended_early = "truncated" in str(error).lower() or isinstance(error.__cause__ or error, struct.error | EOFError)
    return CameraFault.TRUNCATED if ended_early else CameraFault.UNREADABLE
