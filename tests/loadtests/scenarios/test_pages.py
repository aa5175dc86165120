"""What a page makes a browser fetch."""

import time

import pytest

from loadtests.browsing import pages
from loadtests.browsing.pages import Part
from loadtests.target import ForeignHost, resolve

PAGE = b"""<!doctype html><html><head>
<link rel="icon" href="/static/favicon.svg"><link rel="stylesheet" href="/static/site.css">
<link rel="stylesheet" media="print" href="/static/print.css"><link rel="canonical" href="/elsewhere/">
<link rel="preload" as="font" href="/static/a.woff2"><link rel="modulepreload" href="words.js">
<script type="module" src="/static/badge.js"></script><script type="application/ld+json">{"image": "x.png"}</script>
</head><body>
<!-- <img src="/not-this.png"> --><noscript><img src="/nor-this.png"></noscript><template><img src="/nor"></template>
<img src="/static/favicon.svg" alt="a > b"><img src='small.webp'><img src="/late.webp" loading="lazy">
<img src="data:image/png;base64,AAAA"><img alt="nothing"><a href="/shop/">shop</a>
<iframe class="recommended wide" src="/shop/recommended/lamp/" loading="lazy"></iframe>
<img src="https://elsewhere.example/pixel.gif">
</body></html>"""


def test_what_a_page_brings() -> None:
    assert pages.of_page(PAGE, "/shop/p/lamp/") == (
        Part("image", "/static/favicon.svg"),
        Part("css", "/static/site.css"),
        Part("font", "/static/a.woff2"),
        Part("js", "/shop/p/lamp/words.js"),
        Part("js", "/static/badge.js"),
        Part("image", "/shop/p/lamp/small.webp"),
        Part("iframe", "/shop/recommended/lamp/", "recommended"),
        Part("image", "https://elsewhere.example/pixel.gif"),
    )


def test_a_base_moves_what_follows_it() -> None:
    page = b'<base target="_top"><img src="a.png"><base href="/media/"><img src="b.png">'
    assert [part.link for part in pages.of_page(page, "/shop/")] == ["/shop/a.png", "/media/b.png"]


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ("(min-width: 60rem) 16rem, 46vw", "small"),
        ("(min-width: 60rem) 34rem, 92vw", "large"),
        ("(min-width: 200rem) 10rem, 20vw", "small"),
        ("320px", "small"),
        ("321px", "large"),
        ("100vw", "large"),
        ("calc(1px)", "large"),
    ],
)
def test_the_picture_that_is_wide_enough(sizes: str, chosen: str) -> None:
    page = f'<img src="/other" srcset="/small 320w, /large 960w" sizes="{sizes}">'.encode()
    assert pages.of_page(page, "/") == (Part("image", f"/{chosen}"),)


def test_what_stylesheets_and_modules_bring() -> None:
    style = b'@import url("more.css"); @font-face { src: url(a.woff2) } @font-face{src:url(data:x)} a { color: red }'
    assert pages.of_stylesheet(style, "/static/site.css") == (
        Part("css", "/static/more.css"),
        Part("font", "/static/a.woff2"),
    )
    module = b'import { poll } from "./polling.js";\nimport "../words.js";import x from "bare"\nconst a = "./not.js";'
    assert pages.of_script(module, "/static/ico/landing.js") == (
        Part("js", "/static/ico/polling.js"),
        Part("js", "/static/words.js"),
    )


@pytest.mark.parametrize(
    "piece",
    [b"<!--", b"<template>", b"<img ", b'<img "', b"<img a", b"a", b"import ", b"@font-face{", b"url(", b"</template "],
)
def test_reading_takes_time_in_proportion_to_the_length_whatever_it_is(piece: bytes) -> None:
    """The loop that drives everybody stands meanwhile: 160 kB of unclosed comments took 44 s."""
    body = b"<img " + piece * (200_000 // len(piece))
    began = time.process_time()
    for read in (pages.of_page, pages.of_stylesheet, pages.of_script):
        assert read(body, "/") == ()
    assert time.process_time() - began < 15


def test_what_never_ends_hides_nothing() -> None:
    page = b'<!-- <img src="/a.png"><template><img src="/b.png"></template><noscript><img src="/c.png">'
    assert [part.link for part in pages.of_page(page, "/")] == ["/a.png", "/c.png"]


def test_a_link_that_cannot_be_read_leads_nowhere_and_breaks_nothing() -> None:
    page = b'<img src="http://[x"><img src="/right.png"><base href="//[y"><link rel="icon" href="icon.png">'
    links = [part.link for part in pages.of_page(page, "/")]
    assert links[:2] == ["http://[x", "/right.png"]
    with pytest.raises(ForeignHost, match="leads nowhere"):
        resolve("http://127.0.0.1:1").path_of("http://[x")
