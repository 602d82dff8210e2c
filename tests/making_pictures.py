"""Image files as cameras, tools and attackers write them, made byte by byte."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

ORIENTATION_TAG, SHORT, LONG = 0x0112, 3, 4


def scene(height=48, width=64):
    """Smooth colors, so that JPEG changes them little, and no symmetry."""
    rows, columns = np.mgrid[:height, :width]
    channels = (rows * 4, columns * 3, (rows + columns) * 2)
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    """The bytes of a PIL image, or of an array of pixels, in a file format."""
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def upright(pixels, turn):
    """The pixels as EXIF's orientation says they are upright, by Pillow."""
    image = Image.fromarray(pixels)
    image.getexif()[ORIENTATION_TAG] = turn
    return np.asarray(ImageOps.exif_transpose(image))


def tiff(turn, order="II", kind=SHORT, offset=8):
    """An EXIF block with two entries, the second one the orientation."""
    end = "<" if order == "II" else ">"
    make = struct.pack(end + "HHI4s", 0x010F, 2, 4, b"cam\0")
    value = struct.pack(end + "I", turn)
    if kind == SHORT:
        value = struct.pack(end + "HH", turn, 0)
    entry = struct.pack(end + "HHI", ORIENTATION_TAG, kind, 1) + value
    head = order.encode() + struct.pack(end + "HI", 42, offset)
    directory = struct.pack(end + "H", 2) + make + entry + bytes(4)
    return head.ljust(offset, b"\0") + directory


def segment(marker, content):
    """A JPEG's segment."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="3">'
BEFORE_EXIF = {  # what a JPEG may have between its start and its EXIF segment
    "nothing": b"",
    "XMP": segment(0xE1, XMP),
    "50 kB of XMP": segment(0xE1, XMP.ljust(50_000, b" ")),
    "a comment": segment(0xFE, b"Exif\0\0 is no segment here"),
    "8BIM": segment(0xED, b"Photoshop 3.0\0" + b"8BIM" + bytes(40)),
    "ICC in two segments": segment(0xE2, b"ICC_PROFILE\0\1\2" + bytes(60_000)) * 2,
    "fill bytes": b"\xff\xff\xff",
    "a marker without length": b"\xff\xd0",
}


def jpeg_with_exif(jpeg, block, before="nothing", jfif=True):
    """A JPEG with an EXIF segment after its JFIF segment and `before`.

    jfif: whether it keeps the JFIF segment.
    """
    assert jpeg[2:4] == b"\xff\xe0"
    body = 4 + int.from_bytes(jpeg[4:6], "big")
    exif = segment(0xE1, b"Exif\0\0" + block)
    return jpeg[: body if jfif else 2] + BEFORE_EXIF[before] + exif + jpeg[body:]


def jpeg_with_exif_before_the_scan(jpeg, block):
    """A JPEG with its EXIF segment after all tables."""
    scan = jpeg.index(b"\xff\xda")
    return jpeg[:scan] + segment(0xE1, b"Exif\0\0" + block) + jpeg[scan:]


def png_chunk(name, content):
    """A PNG's chunk with its check sum."""
    sum_ = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum_)


def png_with(png, name, content, before=b"IDAT"):
    """A PNG with one more chunk before another one."""
    place = png.index(before) - 4
    return png[:place] + png_chunk(name, content) + png[place:]


def riff_chunk(name, content):
    """A WebP's chunk, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def webp_with_exif(webp, size, block, before=b""):
    """A still WebP of [height, width] without alpha, with an EXIF chunk after it."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in reversed(size))
    head = riff_chunk(b"VP8X", b"\x08\0\0\0" + sides)
    content = b"WEBP" + head + webp[12:] + before + riff_chunk(b"EXIF", block)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def turned_files(turn, order="II", kind=SHORT):
    """Files of each kind and each place of the EXIF block, by name.

    All hold the same [48, 64] pixels, JPEGs nearly, and the orientation `turn`.
    """
    block, pixels = tiff(turn, order, kind), scene()
    jpeg = encoded(pixels, "JPEG", quality=95)
    png, webp = encoded(pixels, "PNG"), encoded(pixels, "WEBP", lossless=True)
    odd = riff_chunk(b"ABCD", b"odd")
    files = {
        f"jpeg after {before}.jpg": jpeg_with_exif(jpeg, block, before)
        for before in BEFORE_EXIF
    }
    return files | {
        "jpeg first.jpg": jpeg_with_exif(jpeg, block, jfif=False),
        "jpeg before the scan.jpg": jpeg_with_exif_before_the_scan(jpeg, block),
        "jpeg far directory.jpg": jpeg_with_exif(jpeg, tiff(turn, order, kind, 9000)),
        "png before.png": png_with(png, b"eXIf", block),
        "png after.png": png_with(png, b"eXIf", block, b"IEND"),
        "webp.webp": webp_with_exif(webp, (48, 64), block),
        "webp letters.webp": webp_with_exif(webp, (48, 64), b"Exif\0\0" + block, odd),
    }


def stripes(height=6):
    """Three stripes [height, 9, 4]: opaque red, hidden green, half blue."""
    colors = np.array([(255, 0, 0, 255), (0, 255, 0, 0), (0, 0, 255, 128)], np.uint8)
    return np.repeat(np.repeat(colors[None], 3, axis=1), height, axis=0)


def png16(pixels):
    """A PNG with 16 bits a channel: [h, w, 1, 3 or 4] uint16."""
    height, width, channels = pixels.shape
    color_type = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = pixels.astype(">u2").tobytes()
    length = len(rows) // height
    data = b"".join(b"\0" + rows[i * length : (i + 1) * length] for i in range(height))
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


RED, HALF_BLUE, BLUE = (255, 0, 0), (0, 0, 128), (0, 0, 255)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def transparent_files():
    """Files like `stripes`, by name, with the three colors that they are on black.

    Some kinds know no half and some no color.
    """
    image = Image.fromarray(stripes())
    gray = Image.merge("LA", (image.getchannel("R"), image.getchannel("A")))
    palette = Image.fromarray(np.repeat(np.repeat(np.uint8([[0, 1, 2]]), 3, 1), 6, 0))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    lossless = {"lossless": True, "exact": True}
    frames = {"save_all": True, "append_images": [Image.new("RGBA", image.size)]}
    other = {"save_all": True, "append_images": [palette.transpose(0)]}
    half, whole = (RED, BLACK, HALF_BLUE), (RED, BLACK, BLUE)
    return {
        "rgba.png": (encoded(image, "PNG"), half),
        "16 bits.png": (png16(stripes() * np.uint16(257)), half),
        "gray.png": (encoded(gray, "PNG"), (WHITE, BLACK, BLACK)),
        "palette.png": (encoded(palette, "PNG", transparency=b"\xff\0\x80"), half),
        "color key.png": (
            encoded(image.convert("RGB"), "PNG", transparency=(0, 255, 0)),
            whole,
        ),
        "rgba.webp": (encoded(image, "WEBP", **lossless), half),
        "animated.webp": (encoded(image, "WEBP", **lossless, **frames), half),
        "palette.gif": (encoded(palette, "GIF", transparency=1), whole),
        "animated.gif": (encoded(palette, "GIF", transparency=1, **other), whole),
        "alpha.bmp": (bmp32(stripes(), has_alpha=True), half),
    }


def bmp(numbers, palette, bits):
    """A BMP with a palette, [n, 3] uint8, of [h, w] numbers of 1, 4 or 8 bits."""
    height, width = numbers.shape
    digits = np.unpackbits(numbers[..., None].astype(np.uint8), axis=-1)[..., -bits:]
    rows = np.packbits(digits.reshape(height, -1), axis=-1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1]
    colors = b"".join(bytes([b, g, r, 0]) for r, g, b in palette)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0,
                       len(palette), 0)  # fmt: skip
    return bmp_file(head + colors, rows.tobytes())


def bmp32(pixels, has_alpha):
    """A BMP of 32 bits from the top down, [h, w, 4] uint8."""
    height, width, _ = pixels.shape
    size, compression = (108, 3) if has_alpha else (40, 0)
    head = struct.pack("<IiiHHIIiiII", size, width, -height, 1, 32, compression, 0, 0,
                       0, 0, 0)  # fmt: skip
    if has_alpha:
        masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        head += masks.ljust(size - 40, b"\0")
    return bmp_file(head, pixels[..., [2, 1, 0, 3]].tobytes())


def bmp_file(head, pixels):
    """A BMP of its headers and its rows."""
    start = 14 + len(head)
    return (
        b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + pixels
    )
