"""Which chains of a stack have a real node: what is asked for, what can be had here, and what its books began with."""

from collections.abc import Callable

from deploy.local import anvil, knots
from deploy.local.layout import CHAINS, CannotStart, Layout, is_stack, load, with_nodes


def with_real_nodes(layout: Layout, say: Callable[[str], None]) -> Layout:
    """The same stack with real nodes of the chains. Where the one of Bitcoin cannot be had, which is Debian's and the
    network's affair, that chain stays simulated, and this says so. Books that are there keep the chains that they
    began with, whatever can be had by now. Raises `CannotStart` where the node of Ethereum, or one of such books,
    cannot run."""
    began = followed(layout)
    if began == ():
        must_follow_the_same_chains(with_nodes(layout, CHAINS))
    wanted = began or CHAINS
    if "ethereum" in wanted and (reason := anvil.cannot_run()):
        raise CannotStart(reason)
    if "bitcoin" not in wanted:
        say("The bitcoin chain stays a simulated one, as it was when the books of this stack began.")
        return with_nodes(layout, wanted)
    why_not = knots.install(lambda told: say(told.splitlines()[0]))
    if why_not is None:
        return with_nodes(layout, wanted)
    if began:
        raise CannotStart(f"the books in {layout.folder} follow a real node of bitcoin, which cannot run: {why_not}")
    say(f"The bitcoin chain stays a simulated one, for its node cannot be started here: {why_not}")
    return with_nodes(layout, ("ethereum",))


def must_follow_the_same_chains(wanted: Layout) -> None:
    """Books that followed one chain cannot go on with another one of the same name. Raises `CannotStart`."""
    began = followed(wanted)
    if began is None or not wanted.has("follower") or began == wanted.chains:
        return
    raise CannotStart(
        f"the books in {wanted.folder} follow {_told(began)}, and would now follow {_told(wanted.chains)}: "
        "take another --folder, or begin anew with: manage.py stack down --wipe"
    )


def followed(wanted: Layout) -> tuple[str, ...] | None:
    """The chains of which the books in this folder follow real nodes; None where there are no books."""
    before = load(wanted.folder) if is_stack(wanted.folder) else None
    return before.chains if before and before.has("follower") else None


def _told(chains: tuple[str, ...]) -> str:
    return f"real nodes of {' and '.join(chains)}" if chains else "simulated chains only"
