"""The log: for people, or one JSON object a line; and the one line that every request leaves."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

REQUESTS = "fewstep.requests"
FIELDS = "fields"  # of a record: what a JSON line has beside the usual

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """{"time", "level", "logger", "message", …fields}, "exception" where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self._time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)

    def _time(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03d}Z"


def set_up(level: str, form: str) -> None:
    """Log to stderr. form: text or json."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # says at each start that it has looked


def log_request(fields: Mapping[str, object], is_probe: bool) -> None:
    """One line: fields in their order, those that are None left out.

    Probes and scrapes come every few seconds and are told at level debug.
    """
    logger = logging.getLogger(REQUESTS)
    level = logging.DEBUG if is_probe else logging.INFO
    if not logger.isEnabledFor(level):
        return
    told = {name: value for name, value in fields.items() if value is not None}
    text = " ".join(f"{name}={_shown(value)}" for name, value in told.items())
    logger.log(level, "%s", text, extra={FIELDS: told})


def _shown(value: object) -> str:
    """Quoted where it could be taken for several fields, or for another line."""
    text = str(value)
    plain = text.isprintable() and not set(text) & set(' ="')
    return text if plain else json.dumps(text)
