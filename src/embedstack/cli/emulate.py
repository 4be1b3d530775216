"""`embedstack emulate`: a platform for hire, on this machine and at no cost."""

from pathlib import Path

import click

from embedstack.settings import environment

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def emulate() -> None:
    """Try a deployment here, without an account.

    \b
    embedstack emulate runpod                            queue, workers' protocol, REST v2, scaler and bill
    """


@emulate.command("runpod")
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--port", default=8001, show_default=True, help="of jobs: clients and workers; 0 takes a free one")
@click.option("--control-port", default=8002, show_default=True, help="of REST v2: endpoints, pods, billing")
@click.option("--endpoint", default="local", show_default=True, help="id of the endpoint that is there at the start")
@click.option("--key", default="local", show_default=True, help="the API key that is taken")
@click.option("--spawn", default="", metavar="COMMAND", help="start workers with this as they are needed, and end them")
@click.option("--workers-min", default=0, show_default=True, help="workers that are always kept, with --spawn")
@click.option("--workers-max", default=3, show_default=True, help="workers at most, with --spawn")
@click.option("--idle-timeout", default=10.0, show_default=True, help="seconds until an idle worker ends")
@click.option("--rate-limits/--no-rate-limits", default=True, show_default=True, help="refuse what is over the rates")
@click.option("--faults", type=FILE, help="a TOML file of what shall go wrong, see docs/runpod.md")
@click.option("--schema", type=FILE, help="RunPod's OpenAPI document, to check REST v2 against")
def runpod(
    host: str, port: int, control_port: int, endpoint: str, key: str, spawn: str, workers_min: int, workers_max: int,
    idle_timeout: float, rate_limits: bool, faults: Path | None, schema: Path | None,
) -> None:  # fmt: skip
    """RunPod on this machine: its queue, its workers' protocol, its REST v2, its scaler and its bill.

    \b
    embedstack emulate runpod                                          workers are started by hand, see what it prints
    embedstack emulate runpod --spawn "embedstack worker runpod"       workers come and go with the jobs
    embedstack emulate runpod --faults faults.toml                     with lost answers, dead workers and the rest

    Nothing is kept: when it ends, jobs and endpoints are gone.
    """
    from embedstack.emulator.endpoint import EndpointSettings  # slow to import, and no help text needs it
    from embedstack.emulator.run import Places, Wanted, run

    wanted = Wanted(
        host=host,
        port=port,
        control_port=control_port,
        endpoint=endpoint,
        key=key,
        worker_command=spawn,
        settings=EndpointSettings(workers_min=workers_min, workers_max=workers_max, idle_timeout_s=idle_timeout),
        is_rated=rate_limits,
        faults=faults,
        schema=schema,
    )

    def ready(places: Places) -> None:
        click.echo(f"jobs:    {places.data}/v2/{endpoint}\ncontrol: {places.control}/v2", err=True)
        worker, client = what_to_type(f"{places.data}/v2/{endpoint}", key)
        if not spawn:
            click.echo(worker, err=True)
        click.echo(client, err=True)

    run(wanted, environment(), ready, lambda worker_id, line: click.echo(f"[{worker_id}] {line}", err=True))


def what_to_type(url: str, key: str) -> tuple[str, str]:
    """For a worker and for a client of the endpoint at this address; a key of the user's is not written anywhere."""
    shown, for_worker = "local", ""
    if key != "local":
        shown = '"$RUNPOD_API_KEY"'
        for_worker = f"RUNPOD_AI_API_KEY={shown} "
    return (
        f"a worker:  {for_worker}embedstack worker runpod --emulator={url}",
        f'a client:  RUNPOD_API_KEY={shown} embedstack embed --via {url}/runsync "a text"',
    )
