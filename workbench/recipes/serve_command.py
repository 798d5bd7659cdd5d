"""`workbench serve`: writes a run's reflection player as a plain model and prints the commands that serve and use it."""

import argparse
import shlex
import socket
from typing import Any

from workbench.config import load_config
from workbench.errors import ConfigError
from workbench.store.layout import find_run, run_root

HOST = "127.0.0.1"
"""Servers of models know no password: nobody but this machine shall ask them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `workbench serve` takes."""
    parser.add_argument("run", metavar="RUN", help="a run that has a trained reflection player")
    parser.add_argument("--port", type=int, default=8000, help="port on this machine (default: %(default)s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the model and print the commands; gives both.

    Raises:
        WorkbenchError: The port is taken, or the run has no reflection player to serve.
    """
    _refuse_port(arguments.port)
    paths = find_run(run_root(arguments.runs_dir), arguments.run)
    config = load_config(paths.config)
    from transformers.utils.import_utils import is_serve_available

    from workbench.recipes.serve import export_reflection_player  # torch takes seconds

    folder = export_reflection_player(paths).resolve()
    device = [] if config.device.device == "auto" else ["--device", config.device.device]
    serve = ["transformers", "serve", str(folder), "--host", HOST, "--port", str(arguments.port), *device]
    base_url = f"http://{HOST}:{arguments.port}/v1"
    settings = {
        "reflection.kind": "endpoint",
        "reflection.endpoint.base_url": base_url,
        "reflection.endpoint.model": str(folder),
        "reflection.max_new_tokens": config.reflection.max_new_tokens,
    }
    use = ["workbench", "train", config.preset, "--from", paths.run_id]
    use += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    print(f"the reflection player of run {paths.run_id} is in {folder}\nserve it:   {shlex.join(serve)}\nuse it:     {shlex.join(use)}")
    if not is_serve_available():
        print("`transformers serve` is not installed: pip install -c constraints.txt -e '.[serving]'")
    return {"run": paths.run_id, "folder": str(folder), "serve": serve, "base_url": base_url, "use": use, "settings": settings}


def _refuse_port(port: int) -> None:
    if not 0 < port < 65536:
        raise ConfigError(f"--port must be between 1 and 65535, found {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was let go a moment ago is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(f"--port {port} cannot be used on {HOST} ({error.strerror}); name a free one") from None
