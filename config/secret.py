"""Where the signing key comes from: the environment, or on the embedded default a file of the data folder that only
its owner can read (docs/decisions/0003)."""

import os
import secrets
from pathlib import Path

from config.env import BadEnvironment

MINIMUM_LENGTH = 32


def secret_key(data_dir: Path) -> str:
    key = os.environ.get("STAMPEDE_SECRET_KEY")
    if key is None:
        return _kept_key(data_dir / "secret-key")
    if len(key) < MINIMUM_LENGTH:
        raise BadEnvironment(
            "STAMPEDE_SECRET_KEY", f"at least {MINIMUM_LENGTH} random characters", "$(openssl rand -hex 32)"
        )
    return key


def _kept_key(path: Path) -> str:
    """Read the key, making it first if it is missing. Two processes starting at once agree: a whole file appears
    under a name that only one of them can take."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first; its key is the key
        finally:
            draft.unlink()
    return path.read_text().strip()
