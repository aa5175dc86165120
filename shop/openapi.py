"""The shop's part of the OpenAPI document."""

from config.openapi import COUNT, TEXT, Json, answer, problems, shape, with_pages

_CENTS: Json = {**COUNT, "description": "Whole cents of `currency`."}

_BADGE: Json = {
    "get": {
        "operationId": "getCart",
        "summary": "What the cart of this browser holds, for the badge on pages that are the same for everybody.",
        "description": "Private: by the session's cookie or the guest's. Who sends neither has an empty cart.",
        "responses": {"200": answer("The cart in short.", "Cart"), **problems(s503="Not able to answer now.")},
    }
}


def _form(operation: str, summary: str, schema: str, **also: str) -> Json:
    """A form of the cart's."""
    return {
        "operationId": operation,
        "summary": summary,
        "description": "Who does not ask for JSON is led to the cart's page, or gets a page that says what is wrong.",
        "parameters": [
            {"name": "Accept", "in": "header", "schema": {"type": "string"}, "example": "application/json"},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
        },
        "responses": {
            "200": answer("The cart in short, as it is now. A guest's first piece sets the cookie `cart`.", "Cart"),
            "303": {"description": "The same for a browser: to the cart's page."},
            **with_pages(
                s400="The body is not what its content type says.",
                s403="Sent from another site's page.",
                s404="No such product, or it is not sold any more.",
                s409="There are not so many pieces, or the cart is full; nothing was changed.",
                s413="The body is too large.",
                s422="A field is missing, unknown or absurd; the detail names it.",
                s503="Not able to take this now; `Retry-After` says when to come back.",
                **also,
            ),
        },
    }


PATHS: Json = {
    "/api/cart": _BADGE,
    "/shop/cart/add/": {
        "post": _form(
            "addToCart",
            "Put pieces of a product into the cart.",
            "Addition",
            s429="Too many new guests' carts for this client; `Retry-After` says when to come back.",
        )
    },
    "/shop/cart/update/": {"post": _form("changeCart", "Have so many pieces in the cart, 0 for none.", "CartLine")},
}

_PIECES: Json = {"type": "integer", "minimum": 1, "maximum": 99}
_VARIANT: Json = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999}

SCHEMAS: Json = {
    "Cart": shape(count=COUNT, total_cents=_CENTS, currency=TEXT, signed_in={"type": "boolean"}),
    "Addition": {
        "type": "object",
        "description": "A product, then the first of its variants that is there; or the variant itself.",
        "anyOf": [{"required": ["product"]}, {"required": ["variant"]}],
        "properties": {
            "product": {"type": "string", "minLength": 1, "maxLength": 120, "pattern": "^[a-z0-9-]+$"},
            "variant": _VARIANT,
            "quantity": _PIECES,
        },
        "additionalProperties": False,
    },
    "CartLine": {
        **shape(variant=_VARIANT, quantity={**_PIECES, "minimum": 0}),
        "additionalProperties": False,
    },
}
