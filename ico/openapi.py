"""The sale's part of the OpenAPI document."""

from config.openapi import COUNT, TEXT, TIME, Json, answer, nullable, problems, shape, with_pages

_TICKET: Json = {
    "name": "ticket",
    "in": "path",
    "required": True,
    "description": "What a signup was answered with.",
    "schema": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9._-]+$"},
}
_TOKEN: Json = {
    "name": "token",
    "in": "path",
    "required": True,
    "description": "The token of the invitation's link.",
    "schema": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_-]+$"},
}


_SIGNUP: Json = {
    "operationId": "signUp",
    "summary": "Take a place in line, or find the one this email has.",
    "description": "Who sends JSON is answered in JSON; who sends a form and does not ask for JSON gets a page.",
    "parameters": [
        {"name": "Accept", "in": "header", "schema": {"type": "string"}, "example": "application/json"},
    ],
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": "#/components/schemas/Signup"}}
            for kind in ("application/json", "application/x-www-form-urlencoded")
        },
    },
    "responses": {
        "202": answer("The place is taken and will not be lost.", "Place"),
        "303": {"description": "The same for a browser: to the waiting page."},
        **with_pages(
            s400="The body is not what its content type says.",
            s403="Sent from another site's page.",
            s409="The sale has ended.",
            s413="The body is too large.",
            s422="The email is missing or not valid; `field` names it.",
            s429="Too many signups from this client; `Retry-After` says when to come back.",
            s503="Not able to take this now; `Retry-After` says when to come back.",
        ),
    },
}
_POSITION: Json = {
    "parameters": [_TICKET],
    "get": {
        "operationId": "getPosition",
        "summary": "Where this ticket stands.",
        "responses": {
            "200": answer("The position as of the board it was computed from.", "Position"),
            **problems(s404="No such ticket.", s503="Not able to answer now."),
        },
    },
    "delete": {
        "operationId": "leaveLine",
        "summary": "Leave the line; those behind move up.",
        "responses": {
            "204": {"description": "Left, now or before."},
            **problems(
                s403="This ticket may only look.",
                s404="No such ticket.",
                s409="Wallets are entered already; the place cannot be given up.",
                s503="Not able to take this now.",
            ),
        },
    },
}
_BOARD: Json = {
    "get": {
        "operationId": "getBoard",
        "summary": "The serving board, the same for everybody.",
        "description": (
            "For a number above `served` and not in `departed`: ahead = number - served - 1 - (how many of `departed` "
            "are smaller); position = ahead + 1; estimated wait = ceil(position * seconds_per_place)."
        ),
        "responses": {"200": answer("The board.", "Board"), **problems(s503="No sale is set up.")},
    }
}
_PAYMENT: Json = {
    "parameters": [_TOKEN],
    "get": {
        "operationId": "getPayment",
        "summary": "How far the participant's payment is.",
        "responses": {
            "200": answer("The status.", "Payment"),
            **problems(
                s404="No such invitation.",
                s409="A step before this one is due; `due` names it.",
                s410="The invitation has ended.",
                s503="Not able to answer now.",
            ),
        },
    },
}


_AMOUNT: Json = {"type": "string", "pattern": r"^\d+(\.\d+)?$", "description": "A decimal number."}

SCHEMAS: Json = {
    "Signup": shape(email={"type": "string", "format": "email", "maxLength": 254}),
    "Place": shape(ticket=TEXT, number=nullable("integer", minimum=1), position_url=TEXT),
    "Position": shape(
        state={"enum": ["placing", "waiting", "invited", "joined", "expired", "left"]},
        number=nullable("integer", minimum=1),
        position=nullable("integer", minimum=1),
        ahead=nullable("integer", minimum=0),
        waiting=COUNT,
        estimated_wait_seconds=nullable("integer", minimum=0),
        poll_after_seconds={"type": "number", "exclusiveMinimum": 0},
        as_of=TIME,
    ),
    "Board": shape(
        sale=TEXT,
        status={"enum": ["upcoming", "open", "paused", "closed"]},
        served=COUNT,
        last_number=COUNT,
        departed={"type": "array", "items": {"type": "integer"}, "description": "Ascending, all above `served`."},
        waiting=COUNT,
        seconds_per_place=nullable("number"),
        batch_size=COUNT,
        poll_after_seconds={"type": "number"},
        as_of=TIME,
    ),
    "Payment": shape(
        state={"enum": ["awaiting", "seen", "confirming", "paid", "review"]},
        review={
            "type": "array",
            "items": {"enum": ["excess", "dust", "late", "reorg"]},
            "description": "Why deposits are in review: above the allowance, below the minimum, too late, undone.",
        },
        allowance=shape(currency=TEXT, cap=_AMOUNT, credited=_AMOUNT, remaining=_AMOUNT, BTC=_AMOUNT, ETH=_AMOUNT),
        deposits={
            "type": "array",
            "items": shape(
                chain={"enum": ["BTC", "ETH"]},
                address=TEXT,
                seen=_AMOUNT,
                confirmed=_AMOUNT,
                confirmations=COUNT,
                required=COUNT,
                final={
                    "enum": ["depth", "finalized"],
                    "description": "What makes a payment count: `required` confirmations, or the chain's own word.",
                },
            ),
        },
        poll_after_seconds={"type": "number"},
        unseen={
            "type": "array",
            "items": {"enum": ["BTC", "ETH"]},
            "description": "Chains that cannot be looked at just now: what arrives there shows later, and is not lost.",
        },
        as_of={**TIME, "description": "When both chains were last looked at."},
        now=TIME,
    ),
}

PATHS: Json = {
    "/signup/": {"post": _SIGNUP},
    "/api/position/{ticket}": _POSITION,
    "/api/board": _BOARD,
    "/api/payment/{token}": _PAYMENT,
}
