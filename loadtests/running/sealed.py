"""What conductor and workers say to each other beside Locust's own messages: sealed, counted, of one conversation.

Both hold the same key (STAMPEDE_LOAD_KEY, or one made for the run). The seal keeps strangers from ordering load and
from writing figures into somebody's record; it hides nothing. Between machines, use a network that nobody else reads.
"""

import hashlib
import hmac
import json
from typing import Any

UNHEARD = "messages never came of worker"  # a note: one of them may have been a frame, the figures are not whole
_LABEL = b"stampede-lab conversation 1\0"


class BadSeal(Exception):
    """A message that was not made for here and now by somebody who has the key."""


class Conversation:
    """One worker's talk with the conductor, seen from one end. `nonce` is the conductor's choice, `client` the
    worker's: a message of another conversation, or the same one a second time, does not fit."""

    def __init__(self, *, key: bytes, nonce: bytes, client: str, is_worker: bool) -> None:
        self._key = hmac.digest(key, _LABEL + nonce + client.encode(), "sha256")
        self._mine, self._theirs = (b"worker", b"conductor") if is_worker else (b"conductor", b"worker")
        self._sent = 0
        self._heard = 0
        self.missed = 0  # of theirs that never came: what was said later has come

    def say(self, kind: str, content: Any) -> dict[str, Any]:
        """What travels: plain values that msgpack carries."""
        self._sent += 1
        body = json.dumps(content).encode()
        return {"count": self._sent, "body": body, "seal": self._seal(self._mine, kind, self._sent, body)}

    def hear(self, kind: str, said: Any) -> Any:
        """The content. Raises `BadSeal`."""
        try:
            count, body, seal = int(said["count"]), bytes(said["body"]), bytes(said["seal"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadSeal(f"a {kind} that is no sealed message") from error
        if not hmac.compare_digest(seal, self._seal(self._theirs, kind, count, body)):
            raise BadSeal(f"a {kind} whose seal is wrong: not the same STAMPEDE_LOAD_KEY, or not meant for here")
        if count <= self._heard:
            raise BadSeal(f"a {kind} that was heard before")
        self.missed += count - self._heard - 1
        self._heard = count
        return json.loads(body)

    def _seal(self, who: bytes, kind: str, count: int, body: bytes) -> bytes:
        return hmac.digest(self._key, b"%s %s %d " % (who, kind.encode(), count) + body, hashlib.sha256)
