"""What a page makes a browser fetch."""

import pytest

from loadtests.browsing import pages
from loadtests.browsing.pages import Part

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
