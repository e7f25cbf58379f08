"""The files that a simulator makes are real."""

import hashlib
import io
from collections.abc import Iterator

import av
import pytest
from PIL import Image

from simulator.drawing import Recipe, Renderer, seed_of, video_size


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    """A renderer with one thread."""
    renderer = Renderer(1)
    yield renderer
    renderer.close()


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("size", [(512, 341), (1328, 1328), (4096, 4096)])
async def test_a_picture_decodes_at_the_asked_size(renderer: Renderer, form: str, size: tuple[int, int]) -> None:
    """Every format, small and large, opens and loads with its own dimensions."""
    content = await renderer.make(Recipe(seed=7, width=size[0], height=size[1], format=form))
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert (picture.size, picture.format) == (size, form.upper())


@pytest.mark.parametrize(("size", "duration_s"), [((1248, 704), 5), ((1088, 1920), 10), ((2176, 928), 5)])
async def test_a_video_plays_for_its_time_in_its_shape(
    renderer: Renderer, size: tuple[int, int], duration_s: int
) -> None:
    """The MP4 is H.264, has the asked ratio within 2 % and the asked length."""
    content = await renderer.make(Recipe(seed=7, width=size[0], height=size[1], format="mp4", duration_s=duration_s))
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.width / stream.height == pytest.approx(size[0] / size[1], rel=0.02)
        frames = len(list(container.decode(stream)))
        assert container.duration == pytest.approx(duration_s * 1_000_000, rel=0.01)
        assert frames == duration_s * 4


@pytest.mark.parametrize("form", ["jpeg", "png", "mp4"])
async def test_different_prompts_give_different_bytes_and_equal_ones_equal(renderer: Renderer, form: str) -> None:
    """Files are told apart by their content, however many are drawn."""

    async def digest(seed: int) -> str:
        recipe = Recipe(seed=seed, width=64, height=64, format=form, duration_s=1 if form == "mp4" else 0)
        return hashlib.sha256(await renderer.make(recipe)).hexdigest()

    digests = [await digest(seed) for seed in range(40)]
    assert len(set(digests)) == 40
    assert await digest(3) == digests[3]


def test_a_name_holds_the_whole_recipe() -> None:
    """A recipe is read back from its file name, and nothing else is one."""
    recipe = Recipe(seed=seed_of("猫", 1), width=704, height=1248, format="mp4", duration_s=5)
    assert Recipe.parse(recipe.name) == recipe
    assert Recipe.parse("../etc/passwd") is None


@pytest.mark.parametrize("size", [(1680, 720), (720, 1680), (16, 4096)])
def test_videos_are_encoded_small_and_even(size: tuple[int, int]) -> None:
    """H.264 in 4:2:0 needs even sides."""
    width, height = video_size(*size)
    assert width % 2 == height % 2 == 0
    assert 16 <= min(width, height) <= max(width, height) <= 256
