"""The OpenAPI 3.1 document of all JSON endpoints, and what the applications write their parts of it with.

An application states its part in a module of `DOCUMENTED` as `PATHS` and `SCHEMAS`. The whole is true: schemathesis
runs against it in the tests.
"""

from functools import cache
from importlib import import_module
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from config.origin import read_only

Json = dict[str, Any]

DOCUMENTED = ("ico.openapi", "shop.openapi", "shop.search_openapi")

TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}
TIME: Json = {"type": "string", "format": "date-time"}


def nullable(kind: str, **more: object) -> Json:
    return {"type": [kind, "null"], **more}


def shape(**properties: Json) -> Json:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def answer(description: str, schema: str) -> Json:
    """A JSON answer of the schema of this name."""
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def problems(**reasons: str) -> Json:
    """Answers by status (`s404="No such ticket."`), each a problem document."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code.removeprefix("s"): {"description": text, "content": content} for code, text in reasons.items()}


def with_pages(**reasons: str) -> Json:
    """Problems that a browser gets as a page."""
    answers = problems(**reasons)
    for described in answers.values():
        described["content"] = {**described["content"], "text/html": {"schema": TEXT}}
    return answers


_PROBLEM = shape(type=TEXT, title=TEXT, status={"type": "integer"}, detail=TEXT)


class DescribedTwice(Exception):
    """Two applications describe the same address or name a schema alike."""


@cache
def document() -> Json:
    """The whole. Raises `DescribedTwice`."""
    paths: Json = {}
    schemas: Json = {"Problem": _PROBLEM}
    for module in map(import_module, DOCUMENTED):
        for whole, part in ((paths, module.PATHS), (schemas, module.SCHEMAS)):
            if twice := whole.keys() & part.keys():
                raise DescribedTwice(f"{module.__name__} describes again: {', '.join(sorted(twice))}")
            whole.update(part)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stampede", "version": "1", "description": "The JSON endpoints of the sale and of the shop."},
        "paths": paths,
        "components": {"schemas": schemas},
    }


@read_only
def openapi(request: HttpRequest) -> HttpResponse:
    """The document."""
    response = JsonResponse(document())
    response["Cache-Control"] = "public, max-age=300, stale-while-revalidate=300"
    return response
