"""What must hold before Tandem starts: a sandbox that keeps what the settings promise, and an address to listen on."""

from __future__ import annotations

import socket
from pathlib import Path

from server.config import Settings
from server.machine import sandbox


class StartError(Exception):
    """Tandem cannot start; the text says what to do about it."""


def check_sandbox(settings: Settings) -> None:
    """Refuse to start where models could do what the settings promise that they cannot. Raises StartError."""
    if settings.sandbox == "off":
        return
    level = sandbox.available()
    if settings.sandbox == "require" and not level.full:
        raise StartError(
            f"the sandbox that TANDEM_SANDBOX=require asks for cannot be had here: {level}; it takes Linux 6.2 "
            "or newer with Landlock, seccomp, and libseccomp2 installed"
        )
    data = settings.data.resolve()
    for folder in (settings.r_models, settings.python_models, *sandbox.SYSTEM):
        if data.is_relative_to(folder.resolve()):
            raise StartError(
                f"the data folder {settings.data} lies in {folder}, where every model can read it, signing key and "
                "all; set TANDEM_DATA to a folder elsewhere"
            )
    here = Path.cwd()
    for folder in (settings.r_models, settings.python_models):
        if here.is_relative_to(folder.resolve()):
            raise StartError(
                f"Tandem was started in {here}, which lies in the model folder {folder}: R and Python would run what "
                "anybody puts there, as a .Rprofile, outside of the sandbox; start it in another folder"
            )


def listen(host: str, port: int) -> socket.socket:
    """The socket at which requests come in. Raises StartError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as e:
        raise StartError(f"cannot listen on {host}:{port}: {e.strerror}; set TANDEM_HOST or TANDEM_PORT") from e
    return listener
