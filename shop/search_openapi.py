"""The search's part of the OpenAPI document."""

from config.openapi import COUNT, TEXT, Json, answer, nullable, problems, shape

_YES_NO: Json = {"type": "boolean"}
_CENTS: Json = {**COUNT, "description": "Whole cents of `currency`."}
_LONGEST: Json = {"type": "string", "maxLength": 200}

# Said by the server in front of the application, which reads no more of an address.
_TOO_LONG: Json = {"414": {"description": "The address is too long.", "content": {"text/html": {"schema": TEXT}}}}


def _asked(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_WORDS = _asked("q", _LONGEST, "At most twelve words. Nothing in it is a command.")
_AMOUNT: Json = {"type": "string", "pattern": r"^([0-9]{1,6}([.][0-9]{1,2})?)?$"}  # empty: none

_SEARCH: Json = {
    "get": {
        "operationId": "search",
        "summary": "The products that bear these words, best first.",
        "description": (
            "The last word may be incomplete; a word that no product bears is corrected, which `corrected` says. When "
            "no product has all the words those with some are shown, and `partly` is true. `categories` and `prices` "
            "count what would be found with that filter in place of the one that is set."
        ),
        "parameters": [
            _WORDS,
            _asked("category", TEXT, "Only those of the category with this slug; one that is not there has none."),
            _asked("low", _AMOUNT, "Only those that cost at least as much, in units of `currency`."),
            _asked("high", _AMOUNT, "Only those that cost at most as much."),
            _asked("page", {"type": "integer", "minimum": 1, "maximum": 50}, "From 1."),
        ],
        "responses": {
            "200": answer("One page of them.", "Found"),
            **problems(
                s400="Longer than 200 characters, or more than twelve words.",
                s404="There is no such page.",
                s422="A price that is none, or the lowest above the highest.",
                s503="Not able to answer now: the index is being built.",
            ),
            **_TOO_LONG,
        },
    }
}
_SUGGEST: Json = {
    "get": {
        "operationId": "suggest",
        "summary": "Ways to go on from what was typed so far, best first.",
        "parameters": [_WORDS],
        "responses": {
            "200": answer("At most eight.", "Suggestions"),
            **problems(
                s400="Longer than 200 characters, or more than twelve words.",
                s503="Not able to answer now: the index is being built.",
            ),
            **_TOO_LONG,
        },
    }
}

PATHS: Json = {"/api/search": _SEARCH, "/api/suggest": _SUGGEST}
SCHEMAS: Json = {
    "Found": shape(
        corrected={**TEXT, "description": "What was looked for instead; empty when it was `q` itself."},
        partly=_YES_NO,
        total=COUNT,
        page={"type": "integer", "minimum": 1, "maximum": 50},
        pages={"type": "integer", "minimum": 1, "maximum": 50},
        currency=TEXT,
        products={"type": "array", "maxItems": 24, "items": {"$ref": "#/components/schemas/FoundProduct"}},
        categories={"type": "array", "items": shape(slug=TEXT, name=TEXT, count=COUNT)},
        prices={
            "type": "array",
            "items": shape(
                label=TEXT,
                low_cents=nullable("integer", minimum=0),
                high_cents=nullable("integer", minimum=0),
                count=COUNT,
            ),
        },
    ),
    "FoundProduct": shape(
        id=COUNT,
        slug=TEXT,
        url=TEXT,
        title=TEXT,
        brand=TEXT,
        category=TEXT,
        price_cents=_CENTS,
        was_cents=nullable("integer", minimum=0),
        available=_YES_NO,
        picture=TEXT,
        picture_large=TEXT,
        alt=TEXT,
    ),
    "Suggestions": shape(suggestions={"type": "array", "maxItems": 8, "items": TEXT}),
}
