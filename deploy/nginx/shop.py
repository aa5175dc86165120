"""The shop's public pages at the edge, written from the policy that the page cache obeys
(shop/caching/cache_policy.toml).

A page is kept under its path and the parameters that its kind knows, and the application is told those alone. A value
that is not written as our own links write it is passed on as it is, and neither looked for nor kept: the application
says what is wrong with it.
"""

import re
from collections.abc import Iterable, Mapping

from shop.caching.cache_policy import Policy, policies


def values() -> dict[str, str]:
    """What stands in nginx.conf for the words SHOP_MAPS, SHOP_ROUTES and SHOP_PAGES."""
    kinds = policies().values()
    return {
        "SHOP_MAPS": _indented(_maps(kinds), 4),
        "SHOP_ROUTES": _indented((_route(policy) for policy in kinds), 8),
        "SHOP_PAGES": _indented((_location(policy) for policy in kinds), 8),
    }


def _patterns(kinds: Iterable[Policy]) -> Mapping[str, str]:
    """Of each parameter. Raises ValueError for a name that means two things: here it can mean one."""
    found: dict[str, str] = {}
    for policy in kinds:
        for name, pattern in policy.known.items():
            if found.setdefault(name, pattern) != pattern:
                raise ValueError(f"cache_policy.toml: {name} has two kinds of values")
    return found


def _maps(kinds: Iterable[Policy]) -> Iterable[str]:
    names = _patterns(kinds)
    for name, pattern in names.items():
        yield f'map $arg_{name} $odd_{name} {{\n    default 1;\n    "" "";\n    "~^(?:{pattern})$" "";\n}}'
    for policy in kinds:
        if policy.known:
            yield f'map "{_odd(policy)}" $args_of_{policy.kind} {{\n    default $args;\n    "" "{_query(policy)}";\n}}'


def _query(policy: Policy) -> str:
    return "&".join(f"{name}=$arg_{name}" for name in sorted(policy.known))


def _location(policy: Policy) -> str:
    told = f"$args_of_{policy.kind}" if policy.known else '""'
    lines = [
        f'set $cache_name "$uri?{_query(policy)}";',
        f'set $odd "{_odd(policy)}";',
        f"set $told_args {told};",
        "include looked_up.conf;",
    ]
    inside = "\n".join(f"    {line}" for line in lines)
    return f"location {_matched(policy)} {{\n{inside}\n}}"


def _odd(policy: Policy) -> str:
    return "".join(f"$odd_{name}" for name in policy.known)


def _matched(policy: Policy) -> str:
    return f'~ "{_pattern(policy)}"' if "<" in policy.path else f"= {policy.path}"


def _pattern(policy: Policy) -> str:
    return "^" + re.sub(r"<[a-z]+>", "[a-zA-Z0-9_-]+", policy.path) + "$"


def _route(policy: Policy) -> str:
    """Which address it was is no secret here, but there are too many to count by."""
    name = re.sub(r"<[a-z]+>", "…", policy.path)
    return f'"~{_pattern(policy)}" "{name}";'


def _indented(parts: Iterable[str], by: int) -> str:
    return ("\n".join(parts)).replace("\n", "\n" + " " * by)
