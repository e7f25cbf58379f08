"""Pictures and videos drawn from a seed: real files of the requested size, cheap enough for thousands of them."""

import asyncio
import hashlib
import io
import random
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import av
import msgspec
from PIL import Image, ImageDraw

T = TypeVar("T")

# Number of different drawings. Files with the same drawing differ in a comment, so two prompts never give equal bytes.
VARIANTS = 12
CACHE_BYTES = 64 * 1024 * 1024
VIDEO_FPS = 4
VIDEO_LONG_SIDE = 256
MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "mp4": "video/mp4"}
NAME = re.compile(r"([0-9a-f]{16})-(\d{1,5})x(\d{1,5})(?:-(\d{1,3}))?\.(jpeg|png|webp|mp4)")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """
    The data from which one file is drawn.

    Attributes:
        seed: 64-bit number, derived from the prompt.
        format: jpeg, png, webp or mp4.
        duration_s: Length of a video in whole seconds.
    """

    seed: int
    width: int
    height: int
    format: str
    duration_s: int = 0

    @property
    def name(self) -> str:
        """A file name that contains the whole recipe."""
        length = f"-{self.duration_s}" if self.duration_s else ""
        return f"{self.seed:016x}-{self.width}x{self.height}{length}.{self.format}"

    @property
    def media_type(self) -> str:
        """The file's MIME type."""
        return MEDIA_TYPES[self.format]

    @classmethod
    def parse(cls, name: str) -> "Recipe | None":
        """The recipe in a file name, or None if it contains none."""
        match = NAME.fullmatch(name)
        if match is None:
            return None
        seed, width, height, duration, extension = match.groups()
        return cls(
            seed=int(seed, 16), width=int(width), height=int(height), format=extension, duration_s=int(duration or 0)
        )


def seed_of(*parts: object) -> int:
    """A 64-bit hash of a prompt and its params."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big")


class Renderer:
    """Draws files in its own threads, so that the event loop is not blocked."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="renderer")
        self._cache: OrderedDict[Recipe, bytes] = OrderedDict()
        self._cached_bytes = 0

    async def make(self, recipe: Recipe) -> bytes:
        """The bytes of the file. Equal recipes give equal bytes."""
        base = msgspec.structs.replace(recipe, seed=recipe.seed % VARIANTS)
        content = self._cache.get(base)
        if content is None:
            content = await self.run(draw_video if recipe.format == "mp4" else draw_picture, base)
            self._remember(base, content)
        else:
            self._cache.move_to_end(base)
        return stamp(content, recipe)

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Run CPU work in a thread of the renderer."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _remember(self, base: Recipe, content: bytes) -> None:
        if base in self._cache:
            return
        self._cache[base] = content
        self._cached_bytes += len(content)
        while self._cached_bytes > CACHE_BYTES:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1])


def draw_picture(recipe: Recipe) -> bytes:
    """A picture of flat shapes in four colours, which is fast to draw and to compress at any size."""
    random_source = random.Random(recipe.seed)
    picture = Image.new("P", (recipe.width, recipe.height), 0)
    picture.putpalette([random_source.randrange(256) for _ in range(4 * 3)])
    _shapes(picture, random_source)
    target = io.BytesIO()
    if recipe.format == "png":
        picture.save(target, "PNG", compress_level=1)
    elif recipe.format == "webp":
        picture.convert("RGB").save(target, "WEBP", quality=50, method=0)
    else:
        picture.convert("RGB").save(target, "JPEG", quality=60)
    return target.getvalue()


def _shapes(picture: Image.Image, random_source: random.Random) -> None:
    pen = ImageDraw.Draw(picture)
    for colour in (1, 2, 3):
        width, height = picture.width // random_source.randint(2, 4), picture.height // random_source.randint(2, 4)
        left, top = random_source.randint(0, picture.width - width), random_source.randint(0, picture.height - height)
        shape = pen.ellipse if random_source.random() < 0.5 else pen.rectangle
        shape((left, top, left + width, top + height), fill=colour)


def video_size(width: int, height: int) -> tuple[int, int]:
    """The small even size at which a video is encoded, with the aspect ratio of the requested size."""
    scale = VIDEO_LONG_SIDE / max(width, height)
    return max(round(width * scale / 2) * 2, 16), max(round(height * scale / 2) * 2, 16)


def draw_video(recipe: Recipe) -> bytes:
    """An H.264 MP4: a disc crosses the frame in `duration_s` seconds at 4 frames a second."""
    random_source = random.Random(recipe.seed)
    background, disc = (tuple(random_source.randrange(256) for _ in range(3)) for _ in range(2))
    size = video_size(recipe.width, recipe.height)
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=VIDEO_FPS, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        frames = recipe.duration_s * VIDEO_FPS
        for number in range(frames):
            picture = Image.new("RGB", size, background)
            left = number * size[0] // frames
            ImageDraw.Draw(picture).ellipse((left, size[1] // 3, left + size[1] // 3, size[1] * 2 // 3), fill=disc)
            container.mux(stream.encode(_frame(picture)))
        container.mux(stream.encode())
    return target.getvalue()


def _frame(picture: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    return frame


def stamp(content: bytes, recipe: Recipe) -> bytes:
    """The same file with the recipe in a comment, so that the files of different prompts have different bytes."""
    mark = recipe.name.encode()
    if recipe.format == "jpeg":
        return content[:2] + b"\xff\xfe" + struct.pack(">H", len(mark) + 2) + mark + content[2:]
    if recipe.format == "png":
        body = b"tEXtrecipe\0" + mark
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return content[:33] + chunk + content[33:]
    if recipe.format == "mp4":
        return content + struct.pack(">I", len(mark) + 8) + b"free" + mark
    return content
