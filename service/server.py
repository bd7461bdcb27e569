"""The process: uvicorn around the application, with a drain when it is asked to stop.

SIGTERM or SIGINT -> no new connections -> running images finish, up to `drain_s` -> the rest is
answered with 503 -> the parts close -> exit 0. The searches' processes end meanwhile.
"""

import logging
import math
import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack, nullcontext
from functools import partial
from types import FrameType, TracebackType

import uvicorn
from fastapi import FastAPI

from diffusion_core.settings import PREFIX

from .app import create_app
from .assembly import Services, open_services
from .errors import SettingInvalid
from .log import set_up
from .residency import Residency
from .settings import Settings

logger = logging.getLogger(__name__)

GRACE_S = 1.0  # after the drain, for answers to be written out


def serve(settings: Settings) -> None:
    """Serve until a signal comes; then exit with status 0.

    Raises SettingInvalid, ModelInvalid or StoreUnavailable where it cannot start.
    """
    set_up(settings.log_level, settings.log_format)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _exit)
    with ExitStack() as ending, bind(settings) as listener, open_services(settings) as services:
        ending.push(partial(_leave, services.residency))
        app = create_app(settings, lambda _: nullcontext(services))
        config = uvicorn_config(app, settings)
        DrainingServer(config, services).run(sockets=[listener])


def uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # the border has a line of its own
        ws="none",
        timeout_graceful_shutdown=math.ceil(settings.drain_s + GRACE_S),
    )


def bind(settings: Settings) -> socket.socket:
    """Take the address before the models are loaded. Raises SettingInvalid."""
    try:
        addresses = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingInvalid(f"{PREFIX}HOST: {settings.host!r}: {error.strerror}") from None
    family, _, _, _, address = addresses[0]
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise SettingInvalid(f"{PREFIX}PORT: {place}: {error.strerror}") from None
    return listener


class DrainingServer(uvicorn.Server):
    """Uvicorn waits for its connections; the engine sees to it that they come to an end.

    The searches' processes start when it is ready, and end while it drains.
    """

    def __init__(self, config: uvicorn.Config, services: Services):
        super().__init__(config)
        self._engine = services.engine
        self._drain_s = services.settings.drain_s
        self._supervisor = services.supervisor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            logger.info("fewstep is ready on http://%s:%d", host, port)
        self._supervisor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._supervisor.ask_to_stop()
        # A daemon: a second Ctrl+C does not wait for it.
        threading.Thread(target=self._drain, name="drain", daemon=True).start()
        await super().shutdown(sockets)

    def _drain(self) -> None:
        if not self._engine.drain(self._drain_s):
            logger.warning("images unfinished after %g s are given up", self._drain_s)
            self._engine.stop()


def _leave(
    residency: Residency,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """The last of all, once the parts are closed: end here where a model is still being loaded.

    Its thread cannot be told to stop, and at Python's own end one that computes aborts the process.
    """
    if residency.is_changing and kind in (None, SystemExit):
        logger.warning("a model that was being loaded is given up")
        logging.shutdown()
        os._exit(0)


def _exit(signal_number: int, frame: FrameType | None) -> None:
    """Uvicorn raises the signal again when it is done; so does nobody during the start."""
    sys.exit(0)
