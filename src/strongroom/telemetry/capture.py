# SPDX-License-Identifier: Apache-2.0
"""Everything that Python or a library would print by itself goes through our log instead.

Standard-library logging, warnings, uncaught exceptions of the process, its threads, its event loop and its
destructors. Libraries' messages are taken at warning and above, scrubbed; exceptions give class and frames.
"""

import asyncio
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import structlog

from strongroom.telemetry.log import Log
from strongroom.telemetry.render import exception_fields

UNFORMATTABLE: Final = "a message that could not be formatted"


class LibraryHandler(logging.Handler):
    """The root handler of standard-library logging."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log a library's message. Raises nothing and, unlike `logging`'s own handlers, prints nothing."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a wrong format string must not print its arguments
            message = UNFORMATTABLE
        fields: dict[str, object] = {"logger": record.name, "reason": message}
        if record.exc_info and record.exc_info[1] is not None:
            fields |= exception_fields(record.exc_info[1])
        level = record.levelname.lower() if record.levelno in _LEVELS else "error"
        self._log.emit(level, "library.message", fields)


_LEVELS: Final = frozenset({logging.WARNING, logging.ERROR, logging.CRITICAL})


@contextmanager
def captured(log: Log) -> Iterator[None]:
    """Send everything above through the log while inside; put it back and flush when leaving.

    Enter it once the log exists and before any library is set up, and again after a library that brings
    handlers of its own (`take_over_loggers`).
    """
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.lastResort, logging.raiseExceptions)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    structlog_before = structlog.get_config()
    handler = LibraryHandler(log)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.lastResort = None
    logging.raiseExceptions = False
    take_over_loggers()
    warnings.showwarning = _warning_hook(log)
    sys.excepthook = _process_hook(log)
    threading.excepthook = _thread_hook(log)
    sys.unraisablehook = _unraisable_hook(log)
    # A library that uses structlog by its global configuration ends here as well.
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, log.rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=log.outlet,
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        log.flush()
        root.handlers[:], level, logging.lastResort, logging.raiseExceptions = before
        root.setLevel(level)
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
        structlog.configure(**structlog_before)


def take_over_loggers() -> None:
    """Take handlers of their own away from every logger there is, so that its messages reach the root handler."""
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True


def watch_loop(loop: asyncio.AbstractEventLoop, log: Log) -> None:
    """Log what the loop's callbacks and forgotten tasks raise. Never a task's or a coroutine's repr."""

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        fields = exception_fields(error) if isinstance(error, BaseException) else {}
        log.emit("error", "asyncio.uncaught", fields)

    loop.set_exception_handler(handle)


def _process_hook(
    log: Log,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    def hook(
        _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, KeyboardInterrupt):
            log.emit("critical", "process.uncaught", exception_fields(error))
        log.flush()

    return hook


def _thread_hook(log: Log) -> Callable[[threading.ExceptHookArgs], None]:
    def hook(arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if error is not None and not isinstance(error, SystemExit):
            log.emit("error", "thread.uncaught", exception_fields(error))

    return hook


def _unraisable_hook(log: Log) -> Callable[["sys.UnraisableHookArgs"], None]:
    def hook(arguments: "sys.UnraisableHookArgs") -> None:
        error = arguments.exc_value
        log.emit(
            "error", "process.unraisable", exception_fields(error) if error is not None else {}
        )

    return hook


def _warning_hook(log: Log) -> Callable[..., None]:
    def hook(
        message: Warning | str, category: type[Warning], *_place: object, **_more: object
    ) -> None:
        fields = {"logger": "py.warnings", "error_class": category.__qualname__}
        log.emit("warning", "library.message", {**fields, "reason": str(message)})

    return hook
