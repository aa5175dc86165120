"""Celery's broker as a folder, for the embedded default: kombu's filesystem transport with two races taken out.

As it comes (kombu 5.7), a message's file appears under its name before its content is written, and so does an
exchange's. A reader that comes in between finds an empty file, fails to parse it, and the worker dies of it. Here a
message appears whole, by renaming, and binding a queue is done by one process at a time.
"""

import fcntl
import os
import time
import uuid
from typing import Any

from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # as its parent has it
        draft = os.path.join(self.data_folder_out, f"draft-{uuid.uuid4()}")
        with open(draft, "wb") as file:
            file.write(str_to_bytes(dumps(payload)))
        # The reader takes the first name: digits enough to sort by age until the machine has been up for 30 years.
        name = f"{time.monotonic_ns() // 1_000_000:012d}_{uuid.uuid4()}.{queue}.msg"
        os.rename(draft, os.path.join(self.data_folder_out, name))

    def _queue_bind(self, *binding: Any) -> None:
        self.control_folder.mkdir(parents=True, exist_ok=True)
        with open(self.control_folder / "bind.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            super()._queue_bind(*binding)


class Transport(filesystem.Transport):
    Channel = Channel
