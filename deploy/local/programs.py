"""The programs of a stack, as supervisor is told of them."""

import sys
from collections.abc import Iterator
from dataclasses import replace

from config import env, supervising
from config.supervising import Program
from deploy import nginx
from deploy.local import environment, knots, mariadb, redis, sqs
from deploy.local.layout import HOST, NODES, CannotStart, Layout

# What is in front stops first, what everybody needs stops last.
RANKS = {"servers": 100, "application": 200, "edge": 300}


def programs(layout: Layout) -> list[Program]:
    """Those that the stack has; they start when told."""
    found = [*_servers(layout), *_application(layout), _edge(layout)]
    return [replace(one, autostart=False, rank=RANKS[one.group]) for one in found if layout.has(one.name)]


def _servers(layout: Layout) -> list[Program]:
    sink = [sys.executable, "-m", "deploy.local.smtp_sink", "--host", HOST, "--port", str(layout.port("smtp"))]
    found = [
        *(Program(node, mariadb.command(layout, node), layout.folder, stop_seconds=60) for node in NODES),
        Program("redis", redis.command(layout), layout.folder),
        Program("sqs", sqs.command(layout), layout.folder),
        Program("smtp", [*sink, "--maildir", str(layout.data / "mail"), "--refuse-file", str(layout.refusals)]),
        *_nodes(layout),
    ]
    return [replace(program, group="servers") for program in found]


def _nodes(layout: Layout) -> Iterator[Program]:
    pace = environment.variables(layout)
    if layout.has("ethereum"):
        where = ["--port", str(layout.port("ethereum")), "--folder", str(layout.folder / "ethereum")]
        seconds = ["--block-seconds", pace["STAMPEDE_ETH_BLOCK_SECONDS"]]
        yield Program("ethereum", [sys.executable, "-m", "deploy.local.ethereum", *where, *seconds])
    if layout.has("bitcoin"):
        login = {"user": environment.BITCOIN_USER, "password": layout.bitcoin_password}
        command = knots.command(layout.folder / "bitcoin", rpc_port=layout.port("bitcoin"), **login)
        yield Program("bitcoin", command, layout.folder, stop_seconds=60)


def _application(layout: Layout) -> list[Program]:
    seconds = environment.variables(layout)["STAMPEDE_BTC_BLOCK_SECONDS"]
    miner = Program("miner", [sys.executable, "-m", "deploy.local.miner", "--block-seconds", seconds])
    return [replace(program, group="application") for program in (*supervising.application(), miner)]


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
    for chain in layout.chains:
        (layout.folder / chain).mkdir(exist_ok=True)
    _write_nginx(layout)
    text = supervising.configuration(
        programs(layout),
        logs=layout.logs,
        pidfile=layout.sockets / "supervisor.pid",
        socket=layout.socket("supervisor"),
    )
    (layout.conf / "supervisor.conf").write_text(text)
