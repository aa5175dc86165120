"""What a page brings with it: stylesheets, scripts, pictures, icons, fonts and frames, as a browser with a wide window
finds them. Read with patterns and not with a parser of HTML: the generator must cost little, and the pages are ours.

A page that many people see is read once: the answers are kept by its bytes, bounded. And whatever a page is, reading
it takes time in proportion to its length: the loop that drives everybody stands meanwhile.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin

VIEWPORT_PX = 1366.0  # a laptop's, at one device pixel a pixel
REM_PX = 16.0
KEPT = 256  # pages and stylesheets whose parts are remembered

_LONGEST_READ = 2 << 20  # characters of a page, stylesheet or script
_BROKEN_TAGS = 5  # that are never closed, each looked for to the end of the page
_HIDDEN = re.compile(r"<!--|<(noscript|template)\b", re.IGNORECASE)
_END = {
    "": re.compile("-->"),
    "noscript": re.compile(r"</noscript\s*>", re.IGNORECASE),
    "template": re.compile(r"</template\s*>", re.IGNORECASE),
}
_TAG = re.compile(r"<(link|script|img|iframe|base)\b", re.IGNORECASE)
_REST = re.compile(r"((?:[^>\"']|\"[^\"]*\"|'[^']*')*+)>")
_ATTRIBUTE = re.compile(r"(?<![a-zA-Z-])([a-zA-Z-]++)\s*+=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_IMPORT = re.compile(r"(?:^|[;}\s])(?:import|export)\b(?:[^\"'();]{0,1000}?\bfrom)?\s*[\"']([^\"']+)[\"']")
_STYLE_IMPORT = re.compile(r"@import\s+(?:url\(\s*)?[\"']?([^\"')\s;]+)")
_FONT_FACE = re.compile(r"@font-face\s*{([^}]{0,4000})}")
_URL = re.compile(r"url\(\s*[\"']?([^\"')]+)[\"']?\s*\)")
_CONDITION = re.compile(r"\(min-width:\s*([\d.]+)(px|rem|em)\)\s*(.+)")
_LENGTH = re.compile(r"([\d.]+)(px|rem|em|vw)$")


@dataclass(frozen=True, slots=True)
class Part:
    """Something else to fetch. `kind`: css, js, image, font, other or iframe; `name`: a frame's. `link` is absolute, or
    a path of the same host."""

    kind: str
    link: str
    name: str = ""


@lru_cache(maxsize=KEPT)
def of_page(body: bytes, path: str) -> tuple[Part, ...]:
    """What the page at `path` makes a browser fetch without being asked, each once, in its order."""
    return tuple(dict.fromkeys(_parts(_shown(_text(body)), path)))


@lru_cache(maxsize=KEPT)
def of_stylesheet(body: bytes, path: str) -> tuple[Part, ...]:
    """Further stylesheets, and the fonts it names. (Its pictures are fetched where a rule applies, which is not known
    here; ours name none.)"""
    text = _text(body)
    styles = [Part("css", _joined(path, link)) for link in _STYLE_IMPORT.findall(text)]
    faces = (_URL.search(face) for face in _FONT_FACE.findall(text))
    fonts = [Part("font", _joined(path, found[1])) for found in faces if found and not found[1].startswith("data:")]
    return (*styles, *fonts)


@lru_cache(maxsize=KEPT)
def of_script(body: bytes, path: str) -> tuple[Part, ...]:
    """The modules that a module needs."""
    links = _IMPORT.findall(_text(body))
    return tuple(Part("js", _joined(path, link)) for link in links if link.startswith((".", "/")))


def _text(body: bytes) -> str:
    return body[:_LONGEST_READ].decode("utf-8", "replace")


def _joined(path: str, link: str) -> str:
    """A link that cannot be read stays as it is: whoever wants to go there is told so (`Target.path_of`)."""
    try:
        return urljoin(path, link)
    except ValueError:
        return link


def _shown(text: str) -> str:
    """Without comments, and what is not there for a browser that runs scripts. What never ends hides nothing."""
    kept, at, looked, endless = [], 0, 0, set()
    while found := _HIDDEN.search(text, looked):
        kind = (found[1] or "").lower()
        end = None if kind in endless else _END[kind].search(text, found.end())
        if end is None:
            endless.add(kind)
            looked = found.end()
            continue
        kept.append(text[at : found.start()])
        at = looked = end.end()
    return "".join((*kept, text[at:]))


def _tags(text: str) -> Iterator[tuple[str, str]]:
    """(name, the rest of it) of each tag that brings something."""
    looked, broken = 0, 0
    while broken < _BROKEN_TAGS and (found := _TAG.search(text, looked)):
        rest = _REST.match(text, found.end())
        broken += rest is None
        looked = rest.end() if rest else found.end()
        if rest:
            yield found[1], rest[1]


def _parts(text: str, path: str) -> Iterator[Part]:
    for tag, rest in _tags(text):
        attributes = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(rest)}
        if tag.lower() == "base":
            path = _joined(path, attributes.get("href", ""))
            continue
        part = _part(tag.lower(), attributes)
        if part and part.link and not part.link.startswith(("data:", "blob:", "about:", "#")):
            yield Part(part.kind, _joined(path, part.link), part.name)


def _part(tag: str, attributes: dict[str, str]) -> Part | None:
    if tag == "link":
        return _of_link(attributes)
    if tag == "script":
        return Part("js", attributes["src"]) if "src" in attributes else None
    if tag == "iframe":
        # Lazy ones too: our visitors scroll down to what goes with a product.
        named = attributes.get("name") or attributes.get("class", "").partition(" ")[0]
        return Part("iframe", attributes["src"], named or "other") if "src" in attributes else None
    return None if attributes.get("loading") == "lazy" else Part("image", _chosen(attributes))


def _of_link(attributes: dict[str, str]) -> Part | None:
    relations, link = attributes.get("rel", "").lower().split(), attributes.get("href", "")
    if "stylesheet" in relations:
        return None if attributes.get("media") == "print" else Part("css", link)
    if "icon" in relations:
        return Part("image", link)
    if "modulepreload" in relations:
        return Part("js", link)
    if "preload" in relations:
        kinds = {"style": "css", "script": "js", "image": "image", "font": "font"}
        return Part(kinds.get(attributes.get("as", ""), "other"), link)
    return Part("other", link) if "manifest" in relations else None


def _chosen(attributes: dict[str, str]) -> str:
    """The picture that a browser takes out of a set: the smallest that is wide enough."""
    candidates = []
    for candidate in attributes.get("srcset", "").split(","):
        link, _, width = candidate.strip().rpartition(" ")
        if link and re.fullmatch(r"\d+w", width):
            candidates.append((int(width[:-1]), link.strip()))
    if not candidates:
        return attributes.get("src", "")
    needed = _width(attributes.get("sizes", "100vw"))
    return min((c for c in candidates if c[0] >= needed), default=max(candidates))[1]


def _width(sizes: str) -> float:
    for size in sizes.split(","):
        condition = _CONDITION.fullmatch(size.strip())
        if condition and _px(condition[1] + condition[2]) > VIEWPORT_PX:
            continue
        return _px(condition[3] if condition else size.strip())
    return VIEWPORT_PX


def _px(length: str) -> float:
    """Pixels of a length; one that cannot be read counts as the whole width."""
    read = _LENGTH.match(length.strip())
    if not read:
        return VIEWPORT_PX
    unit = {"px": 1.0, "rem": REM_PX, "em": REM_PX, "vw": VIEWPORT_PX / 100}[read[2]]
    return float(read[1]) * unit
