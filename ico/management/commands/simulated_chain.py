"""`manage.py simulated_chain`: the miner of both simulated chains, until it is told to stop."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ico import nodes, stopping
from ico.chains.base import Block, ChainUnavailable
from ico.chains.simulated import NORMAL_LOAD, SimulatedChain, TooDeep
from ico.models import Chain


def a_reorg(text: str) -> tuple[str, int]:
    chain, _, depth = text.upper().partition(":")
    if chain not in Chain.values or not depth.isdecimal() or int(depth) < 1:
        raise ArgumentTypeError("give a chain and a number of blocks, for example ETH:3")
    return chain, int(depth)


def a_load(text: str) -> float:
    try:
        load = float(text)
    except ValueError:
        load = -1.0
    if not 0 <= load <= 1:
        raise ArgumentTypeError("give how full blocks are, 0 to 1")
    return load


class Command(BaseCommand):
    help = "Mine the simulated chains. With --once or --reorg: do that and end; a running miner goes on undisturbed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", type=int, metavar="N", help="mine N blocks on each chain and end")
        parser.add_argument("--reorg", type=a_reorg, metavar="CHAIN:DEPTH", help="replace the newest blocks and end")
        parser.add_argument(
            "--load",
            type=a_load,
            default=NORMAL_LOAD,
            help=f"how full other people's traffic makes blocks (default {NORMAL_LOAD})",
        )

    def handle(self, **options: Any) -> None:
        chains = {name: nodes.simulated(name) for name in Chain.values if not settings.NODES[name]}
        asked = options["reorg"] is not None or options["once"] is not None
        if not chains:
            self._nothing_to_mine(asked=asked)
            return
        if options["reorg"]:
            self._reorg(chains, *options["reorg"], load=options["load"])
        if options["once"] is not None:
            for chain in chains.values():
                for block in chain.mine(options["once"], background=options["load"]):
                    self._tell(chain, block)
        if not asked:
            self._mine_on(chains, options["load"])

    def _nothing_to_mine(self, *, asked: bool) -> None:
        """The end in order of a miner that was started with all the rest; an error for who wanted blocks."""
        why = "Every chain has a real node (STAMPEDE_BTC_NODE, STAMPEDE_ETH_NODE): nothing to mine."
        if asked:
            raise CommandError(why)
        self.stdout.write(why)

    def _reorg(self, chains: dict[str, SimulatedChain], name: str, depth: int, *, load: float) -> None:
        if name not in chains:
            raise CommandError(f"{name} has a real node (STAMPEDE_{name}_NODE), which decides about its blocks itself.")
        try:
            blocks = chains[name].reorg(depth, background=load)
        except TooDeep as error:
            raise CommandError(f"The genesis block stays: {error}.") from error
        self.stdout.write(f"{name} gave up {depth} blocks; what was in them waits in the mempool again")
        for block in blocks:
            self._tell(chains[name], block)

    def _mine_on(self, chains: dict[str, SimulatedChain], load: float) -> None:
        due = {name: time.monotonic() for name in chains}
        with stopping.on_signal() as stop:
            self.stdout.write("mining " + ", ".join(f"{n} every {_every(n):g} s" for n in chains))
            while not stop.is_set():
                name = min(due, key=lambda one: due[one])
                if stop.wait(max(0.0, due[name] - time.monotonic())):
                    break
                self._mine(chains[name], load)
                # From now and not from when it was due: a machine that slept does not make up for it.
                due[name] = time.monotonic() + _every(name)
        self.stdout.write("stopped mining")

    def _mine(self, chain: SimulatedChain, load: float) -> None:
        try:
            for block in chain.mine(background=load):
                self._tell(chain, block)
        except ChainUnavailable as error:
            self.stderr.write(f"{chain.chain} could not be mined, trying again: {error}")

    def _tell(self, chain: SimulatedChain, block: Block) -> None:
        full = block.gas_used / block.gas_limit
        self.stdout.write(
            f"{chain.chain} block {block.height} {block.hash[:14]}… {len(chain.transfers([block])[0])} transfers,"
            f" {full:.0%} full, base fee {block.base_fee / 1e9:.2f} gwei"
        )
        self.stdout.flush()


def _every(name: str) -> float:
    return float(settings.SIMULATED_BLOCK_SECONDS[name])
