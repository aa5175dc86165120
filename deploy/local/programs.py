"""The programs of a stack, as supervisor is told of them."""

import sys
from dataclasses import replace

from config import env, supervising
from config.supervising import Program
from deploy import nginx
from deploy.local import mariadb, redis, sqs
from deploy.local.layout import HOST, NODES, CannotStart, Layout

# What is in front stops first, what everybody needs stops last.
RANKS = {"servers": 100, "application": 200, "edge": 300}


def programs(layout: Layout) -> list[Program]:
    """Those that the stack has; they start when told."""
    found = [*_servers(layout), *_application(), _edge(layout)]
    return [replace(one, autostart=False, rank=RANKS[one.group]) for one in found if layout.has(one.name)]


def _servers(layout: Layout) -> list[Program]:
    sink = [sys.executable, "-m", "deploy.local.smtp_sink", "--host", HOST, "--port", str(layout.port("smtp"))]
    found = [
        *(Program(node, mariadb.command(layout, node), layout.folder, stop_seconds=60) for node in NODES),
        Program("redis", redis.command(layout), layout.folder),
        Program("sqs", sqs.command(layout), layout.folder),
        Program("smtp", [*sink, "--maildir", str(layout.data / "mail"), "--refuse-file", str(layout.refusals)]),
    ]
    return [replace(program, group="servers") for program in found]


def _application() -> list[Program]:
    return [replace(program, group="application") for program in supervising.application()]


def _edge(layout: Layout) -> Program:
    conf = layout.folder / "nginx" / "nginx.conf"
    # QUIT lets it answer what it is answering; TERM does not.
    return Program("nginx", nginx.command(conf), layout.folder, group="edge", stop_signal="QUIT")


def _write_nginx(layout: Layout) -> None:
    # The application has them from the shell, and so must who stands in front of it.
    hosts = env.names("STAMPEDE_ALLOWED_HOSTS", list(nginx.HOSTS))
    try:
        nginx.write(
            layout.folder / "nginx",
            listen=f"{HOST}:{layout.port('nginx')}",
            upstream=f"{HOST}:{layout.port('web')}",
            static_root=layout.data / "static",
            internal=f"{HOST}:{layout.port('nginx-status')}",
            hosts=tuple(hosts),
            logs=layout.logs / "nginx",
        )
    except nginx.CannotWrite as error:
        raise CannotStart(f"nginx cannot be told what STAMPEDE_ALLOWED_HOSTS or the folder says: {error}") from None


def write(layout: Layout) -> None:
    """The configuration files of the programs, supervisor's among them."""
    mariadb.write(layout)
    redis.write(layout)
    _write_nginx(layout)
    text = supervising.configuration(
        programs(layout),
        logs=layout.logs,
        pidfile=layout.sockets / "supervisor.pid",
        socket=layout.socket("supervisor"),
    )
    (layout.conf / "supervisor.conf").write_text(text)
