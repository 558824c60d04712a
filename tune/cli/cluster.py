"""The commands ``audition cluster ...``, each as typer reads it; what they do is in `clusters`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tune.cli.ending import ending

if TYPE_CHECKING:
    from executor.cluster.serving import Offer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Start a cluster, join one, look at it, end it.")

Name = Annotated[str | None, typer.Argument(help="The cluster's name, or HOST:PORT; left out when only one is known.")]
Cpus = Annotated[float | None, typer.Option(help="Cpus that this machine offers; all that it may use by default.")]
Gpus = Annotated[float | None, typer.Option(help="Gpus that it offers; all by default.")]
Memory = Annotated[float | None, typer.Option(help="Memory that it offers, in GiB; all by default.")]
Custom = Annotated[
    list[str] | None, typer.Option("--resource", metavar="KIND=AMOUNT", help="A custom resource. May be repeated.")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="What the node is called. May be repeated.")
]
NodeName = Annotated[str, typer.Option("--node-name", help="What the node is called; the machine's name by default.")]
Foreground = Annotated[bool, typer.Option("--foreground", help="Stay until it ends, for a service manager.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show our own traceback of an error too.")]


@app.command()
def start(  # noqa: PLR0913 - each is an option of the command line
    name: Annotated[str, typer.Argument(help="What the cluster is called on this machine.")] = "default",
    *,
    host: Annotated[
        str, typer.Option(help="The address to listen on; others reach the cluster only by one that is not loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; newcomers knock at the one after it.")] = 7077,
    node: Annotated[bool, typer.Option("--node/--no-node", help="Whether this machine runs trials too.")] = True,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    resource: Custom = None,
    label: Labels = None,
    node_name: NodeName = "",
    lease_s: Annotated[float, typer.Option(help="Seconds that a node goes on without hearing the head.")] = 10.0,
    controllers: Annotated[
        bool,
        typer.Option("--controllers/--no-controllers", help="Whether detached experiments and actors may live here."),
    ] = True,
    foreground: Foreground = False,
    debug: Debug = False,
) -> None:
    """Start a cluster on this machine, and print the line by which another joins."""
    with ending(debug):
        from executor.cluster.membership import Terms
        from tune.cli import clusters

        offer = _offer(cpus, gpus, memory, resource, label, node_name) if node else None
        terms = Terms.of_lease(lease_s)
        clusters.start(name, host, port, offer, terms, controllers=controllers, foreground=foreground)


@app.command()
def invite(
    name: Name = None,
    *,
    role: Annotated[str, typer.Option(help="agent for a machine, driver or viewer for a person.")] = "agent",
    debug: Debug = False,
) -> None:
    """Print the line that lets one more machine or person in, once and within 15 minutes."""
    with ending(debug):
        from tune.cli import clusters

        clusters.invite(name, role)


@app.command()
def join(
    invitation: Annotated[str, typer.Argument(help="HOST:PORT/TOKEN/PIN, as `start` and `invite` print it.")],
    *,
    name: Annotated[str | None, typer.Option(help="What the cluster is called on this machine.")] = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    resource: Custom = None,
    label: Labels = None,
    node_name: NodeName = "",
    foreground: Foreground = False,
    debug: Debug = False,
) -> None:
    """Accept an invitation: become a node, or get credentials to use or watch a cluster."""
    with ending(debug):
        from tune.cli import clusters

        clusters.join(invitation, name, _offer(cpus, gpus, memory, resource, label, node_name), foreground=foreground)


@app.command()
def status(
    name: Name = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show a cluster's nodes and experiments."""
    with ending(debug):
        from tune.cli import clusters

        clusters.show_status(name, as_json=json)


@app.command()
def drain(
    node: Annotated[str, typer.Argument(help="The node's name.")],
    name: Name = None,
    *,
    deadline_s: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds after which what still runs there is ended; never by default."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Whether to stay until the node is empty.")] = True,
    debug: Debug = False,
) -> None:
    """Empty a node: it gets nothing more, and its trials save at their next report and go on elsewhere."""
    with ending(debug):
        from tune.cli import clusters

        clusters.drain(node, name, deadline_s, wait=wait)


@app.command()
def end(
    controller: Annotated[str, typer.Argument(help="The detached experiment's name, or actors:NAMESPACE.")],
    name: Name = None,
    *,
    debug: Debug = False,
) -> None:
    """Have a detached experiment save and stop, as Ctrl-C does, a second time at once; or a namespace's actors end."""
    with ending(debug):
        from tune.cli import clusters

        clusters.end(controller, name)


@app.command()
def forget(
    controller: Annotated[str, typer.Argument(help="A detached experiment that is over, or actors:NAMESPACE.")],
    name: Name = None,
    *,
    debug: Debug = False,
) -> None:
    """List a detached experiment, or a namespace, that is over no more; results stay where they are."""
    with ending(debug):
        from tune.cli import clusters

        clusters.forget(controller, name)


@app.command()
def stop(name: Name = None, *, debug: Debug = False) -> None:
    """End a cluster."""
    with ending(debug):
        from tune.cli import clusters

        clusters.stop(name)


def _offer(
    cpus: float | None,
    gpus: float | None,
    memory: float | None,
    resources: list[str] | None,
    given_labels: list[str] | None,
    host: str,
) -> Offer:
    from executor.cluster.serving import Offer
    from executor.errors import ClusterError

    custom: dict[str, float] = {}
    for text in resources or []:
        kind, _, amount = text.partition("=")
        try:
            custom[kind] = float(amount)
        except ValueError:
            raise ClusterError(f"--resource must be KIND=AMOUNT, got {text!r}") from None
    labels: dict[str, str] = {}
    for text in given_labels or []:
        key, sign, value = text.partition("=")
        if not (key and sign):
            raise ClusterError(f"--label must be KEY=VALUE, got {text!r}")
        labels[key] = value
    return Offer(cpus, gpus, None if memory is None else int(memory * 2**30), custom, host, labels)
