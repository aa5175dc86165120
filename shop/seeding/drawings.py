"""Drawings of goods: a silhouette, its colour and pattern, a soft ground. No Django here.

The edges of a silhouette are smoothed once per form and kept as a mask; a picture is then a few pastes, which is what
makes thousands of them quick.
"""

from collections.abc import Callable
from functools import lru_cache
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from shop.seeding.silhouettes import FORMS
from shop.seeding.wording import COLOURS

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

PLAIN = "plain"
ZOOM = 1.8  # of the view from near
_SMOOTH = 3  # masks are drawn so many times larger
_PATTERNS = (PLAIN, PLAIN, "bands", "columns", "checks", "dots", "slopes", "block")
_GROUNDS = ((238, 234, 228), (228, 233, 238), (232, 238, 230), (240, 230, 230), (236, 232, 240), (244, 240, 226))


def draw(*, form: str, colour: str, view: str, series: str, size: int) -> Image.Image:
    """An RGB picture, `size` pixels both ways: the same for the same words, different for different ones."""
    chance, ground, pattern = _looks(form, series)
    zoom = ZOOM if view == "near" else 1.0
    picture = _stage(ground, form, size, zoom).copy()
    step, width = chance.choice((5, 8, 12)), chance.choice((0.25, 0.5))
    second, (mask, box) = _beside(COLOURS[colour], chance), _mask(form, size, zoom)
    cloth = Image.new("RGB", mask.size, COLOURS[colour])
    if pattern != PLAIN:
        cloth.paste(second, mask=_pattern(pattern, step, width, size, zoom).crop(box))
    _mark(cloth, series, second, size, zoom, box)
    picture.paste(ImageChops.add(cloth, _light(form, size, zoom)), box, mask)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view == "side" else picture


def pattern_of(*, form: str, series: str) -> str:
    """ "plain", "bands", "columns", "checks", "dots", "slopes" or "block": the same for each view and colour."""
    return _looks(form, series)[2]


def _looks(form: str, series: str) -> tuple[Random, Colour, str]:
    """Ground and pattern, and the chances that decide the rest."""
    chance = Random(f"{form}:{series}")  # noqa: S311 (the same for each view and colour of a product)
    return chance, chance.choice(_GROUNDS), chance.choice(_PATTERNS)


def _beside(colour: Colour, chance: Random) -> Colour:
    """A darker or a lighter shade of it, or a colour that goes with it."""
    if chance.random() < 0.3:
        others = (COLOURS[name] for name in ("white", "sand", "navy", "mustard", "brick"))
        return chance.choice([other for other in others if other != colour])
    factor = chance.choice((0.55, 0.75, 1.3, 1.6))
    if factor > 1 and max(colour) > 200:
        factor = 0.65  # one could not tell anything lighter from it
    elif factor < 1.6 and max(colour) < 60:
        factor = 2.2  # nor anything darker or a little lighter
    return (_part(colour[0], factor), _part(colour[1], factor), _part(colour[2], factor))


def _part(part: int, factor: float) -> int:
    return max(20, min(250, int(part * factor)))


def _mark(cloth: Image.Image, series: str, colour: Colour, size: int, zoom: float, box: Box) -> None:
    """The maker's mark on the breast: 16 small fields, which hardly two series have alike."""
    fields, pen = Random(series).getrandbits(16), ImageDraw.Draw(cloth)  # noqa: S311
    for place in range(16):
        if fields >> place & 1:
            left, top = 56 + place % 4 * 1.6, 52 + place // 4 * 1.6
            ends = (_pixel(part, size, zoom) for part in (left, top, left + 1.3, top + 1.3))
            pen.rectangle([end - box[number % 2] for number, end in enumerate(ends)], fill=colour)


def _pixel(place: float, size: int, zoom: float) -> float:
    """Where a place on the square of 100 by 100 is, seen from near: around its middle."""
    return ((place - 50) * zoom + 50) * size / 100


@lru_cache(maxsize=len(_GROUNDS))
def _ground(colour: Colour, size: int) -> Image.Image:
    """Lighter above, a floor below."""
    column = Image.new("RGB", (1, size), colour)  # all columns are alike
    light = Image.linear_gradient("L").rotate(180).resize((1, size)).point(lambda v: v * 0.55)
    column.paste((255, 255, 255), mask=light)
    picture = column.resize((size, size), Image.Resampling.NEAREST)
    floor = tuple(part - 14 for part in colour)
    ImageDraw.Draw(picture).rectangle((0, size * 84 // 100, size, size), fill=floor)
    return picture


@lru_cache(maxsize=2 * len(_GROUNDS))
def _stage(ground: Colour, form: str, size: int, zoom: float) -> Image.Image:
    """The ground with the form's shadow on it. Few are kept, for each takes megabytes: draw form by form."""
    picture, (soft, box) = _ground(ground, size).copy(), _shadow(form, size, zoom)
    picture.paste((ground[0] - 70, ground[1] - 70, ground[2] - 66), box, soft)
    return picture


@lru_cache(maxsize=4)
def _shadow(form: str, size: int, zoom: float) -> tuple[Image.Image, Box]:
    """Down to the right of the form, with soft edges; the part with something in it, and where that is."""
    mask, (left, top, _, _) = _mask(form, size, zoom)
    shadow = Image.new("L", (size, size), 0)
    shadow.paste(mask, (left + size // 60, top + size // 40))
    soft = shadow.reduce(4).filter(ImageFilter.GaussianBlur(size / 200)).resize((size, size)).point(lambda v: v * 0.6)
    box = soft.getbbox() or (0, 0, size, size)
    return soft.crop(box), box


@lru_cache(maxsize=8)
def _mask(form: str, size: int, zoom: float) -> tuple[Image.Image, Box]:
    """The part with something in it, and where that is in the picture."""
    body, holes = FORMS[form]
    mask = Image.new("L", (size * _SMOOTH, size * _SMOOTH), 0)
    pen = ImageDraw.Draw(mask)
    for shapes, fill in ((body, 255), (holes, 0)):
        for shape in shapes:
            points = [(_pixel(x, mask.width, zoom), _pixel(y, mask.width, zoom)) for x, y in shape]
            (pen.ellipse if len(points) == 2 else pen.polygon)(points, fill=fill)
    smooth = mask.reduce(_SMOOTH)
    box = smooth.getbbox() or (0, 0, size, size)
    return smooth.crop(box), box


@lru_cache(maxsize=4)
def _light(form: str, size: int, zoom: float) -> Image.Image:
    """From the upper left, on the part that the form's mask covers."""
    down = Image.linear_gradient("L").rotate(180)
    slope = ImageChops.add(down, down.rotate(90), scale=2).resize((size, size)).point(lambda v: v * 0.16)
    part = slope.crop(_mask(form, size, zoom)[1])
    return Image.merge("RGB", (part, part, part))


@lru_cache(maxsize=96)
def _pattern(pattern: str, step: int, width: float, size: int, zoom: float) -> Image.Image:
    mask, wide = Image.new("1", (size, size), 0), zoom * step * size / 100  # pasted eight times as fast as "L"
    _PAINTERS[pattern](ImageDraw.Draw(mask), size, wide, width * wide)
    return mask


def _bands(pen: ImageDraw.ImageDraw, size: int, step: float, width: float) -> None:
    for place in range(int(size / step) + 1):
        pen.rectangle((0, place * step, size, place * step + width), fill=255)


def _columns(pen: ImageDraw.ImageDraw, size: int, step: float, width: float) -> None:
    for place in range(int(size / step) + 1):
        pen.rectangle((place * step, 0, place * step + width, size), fill=255)


def _checks(pen: ImageDraw.ImageDraw, size: int, step: float, width: float) -> None:
    _bands(pen, size, step, width / 2)
    _columns(pen, size, step, width / 2)


def _dots(pen: ImageDraw.ImageDraw, size: int, step: float, width: float) -> None:
    count = int(size / step) + 1
    for x, y in ((x, y) for y in range(count) for x in range(count)):
        left, top = (x + y % 2 / 2) * step, y * step
        pen.ellipse((left, top, left + width, top + width), fill=255)


def _slopes(pen: ImageDraw.ImageDraw, size: int, step: float, width: float) -> None:
    for place in range(int(2 * size / step) + 1):
        pen.line((place * step, 0, place * step - size, size), fill=255, width=max(1, int(width / 1.4)))


def _block(pen: ImageDraw.ImageDraw, size: int, step: float, width: float) -> None:
    pen.rectangle((0, size * 0.3 + step, size, size * 0.3 + 2 * step + width), fill=255)


_PAINTERS: dict[str, Callable[[ImageDraw.ImageDraw, int, float, float], None]] = {
    "bands": _bands,
    "columns": _columns,
    "checks": _checks,
    "dots": _dots,
    "slopes": _slopes,
    "block": _block,
}
