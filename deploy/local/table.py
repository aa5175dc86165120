"""What `manage.py stack` prints: addresses, states, variables."""

import io
import json
import shlex
import shutil

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from config.serving import OPERATOR
from deploy.local import environment, probing
from deploy.local.layout import DEFAULT_FOLDER, Layout
from deploy.local.status import Status


def addresses(layout: Layout, password: str | None) -> str:
    """Where everything is, and what to type next. `password`: the operator's, if the account was made now."""
    rows = [*_application(layout, password), *_servers(layout), *_commands(layout)]
    # Not folded to the terminal's width: these lines are there to be copied.
    lines = [f"  {name:<10} {value}" for name, value in rows]
    return "\n".join(["", f"The stack is running in {layout.folder}.", *lines])


def _application(layout: Layout, password: str | None) -> list[tuple[str, str]]:
    if not layout.has("web"):
        return []
    url = environment.public_url(layout)
    login = f"{OPERATOR} / {password}" if password else f"{OPERATOR} (password as told before)"
    found = [("the sale", f"{url}/"), ("operator", f"{url}/admin/ and {url}/ops/   {login}")]
    return [*found, ("mails", str(layout.data / "mail" / "new"))]


def _servers(layout: Layout) -> list[tuple[str, str]]:
    return [(name, where) for name in layout.programs if (where := probing.address(layout, name))]


def _commands(layout: Layout) -> list[tuple[str, str]]:
    found = [("logs", str(layout.logs)), ("status", _manage(layout, "status")), ("stop", _manage(layout, "down"))]
    if layout.has("web"):
        host = f"--host {environment.public_url(layout)}"
        found.append(("investors", _manage(layout, "run", "-- play_investors")))
        found.append(("stampede", _manage(layout, "run", f"-- loadtest run signup {host}")))
        found.append(("the books", _manage(layout, "run", "-- audit")))
    return found


def _manage(layout: Layout, action: str, rest: str = "") -> str:
    where = "" if layout.folder == DEFAULT_FOLDER else f" --folder {shlex.quote(str(layout.folder))}"
    return f".venv/bin/python manage.py stack {action}{where} {rest}".rstrip()


def status(found: list[Status]) -> str:
    """One line a program."""
    table = Table(box=SIMPLE, pad_edge=False)
    for title in ("program", "address", "state", "answers"):
        table.add_column(title, no_wrap=title != "answers", overflow="fold")
    for one in found:
        table.add_row(one.name, one.address, f"{one.state.lower()} {one.description}", _answer(one))
    return _text(table)


def _answer(one: Status) -> str:
    if one.trouble:
        return f"NO: {one.trouble}"
    return "yes" if one.lag is None else f"yes, {one.lag:.0f} s behind"


def variables(found: dict[str, str], *, as_json: bool) -> str:
    """For a program, or for a shell: `eval "$(manage.py stack environment)"`."""
    if as_json:
        return json.dumps(found, indent=1)
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items())


def _text(table: Table) -> str:
    width = max(100, shutil.get_terminal_size((160, 50)).columns)  # a command to copy is not broken
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in str(printed).splitlines() if line.strip()) + "\n"
