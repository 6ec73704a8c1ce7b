"""How the command writes to its pipe, and how it ends."""

from __future__ import annotations

import errno
import os
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.singerlib.messages import RecordMessage

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    import click
    from singer_sdk.singerlib.encoding.simple import Message


MOST_HELD_BYTES = 1 << 16

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_ROOM_HELP = (
    "; make room where the output goes, and in the folder for temporary files (`TMPDIR`); run again, the state is true"
)

_encode_into = msgspec.json.Encoder(decimal_format="number").encode_into


class Writer(MsgSpecWriter):
    """Writes Singer messages to stdout, the digits of decimals kept, until the target closes the pipe.

    Records are held back until they are many, another message follows, or `flush` is called.
    """

    def __init__(self) -> None:
        """Begin with an open pipe."""
        super().__init__()
        self.on_target_gone: Callable[[], None] | None = None
        self._gone = False
        self._held = bytearray()

    def write_record(self, stream: str, record: dict[str, Any], version: int | None) -> None:
        """Write a RECORD message, extracted now."""
        message = _Record(stream, record, datetime.now(timezone.utc), UNSET if version is None else version)
        _encode_into(message, self._held, -1)
        self._held += b"\n"
        if len(self._held) >= MOST_HELD_BYTES:
            self.flush()

    def write_message(self, message: Message) -> None:
        """Write a message of any kind."""
        self._held += self.format_message(message)
        if not isinstance(message, RecordMessage) or len(self._held) >= MOST_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held back; nothing any more once nobody reads."""
        held, self._held = self._held, bytearray()
        if not held or self._gone:
            return
        try:
            sys.stdout.buffer.write(held)
            sys.stdout.flush()
        except BrokenPipeError:
            self._gone = True
            # What is left in the buffer would raise once more when the interpreter closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if self.on_target_gone:
                self.on_target_gone()


class _Record(msgspec.Struct, tag_field="type", tag="RECORD"):
    """The SDK's RecordMessage, as it is written."""

    stream: str
    record: dict[str, Any]
    time_extracted: datetime
    version: int | msgspec.UnsetType


class Command(SingerCommand):
    """Ends with exit code 1 and one message where a run fails for a known reason, and never with a traceback then."""

    @classmethod
    def of(cls, command: click.Command, logger: logging.Logger) -> Command:
        """Command like the given one."""
        return cls(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=logger,
        )

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        try:
            return super().main(*args, **kwargs)
        except SingerSDKError as error:
            self.logger.error("%s", error)  # noqa: TRY400 - the message says it all
        except OSError as error:
            where = NO_ROOM_HELP if error.errno in NO_ROOM else ""
            self.logger.error("%s%s", error, where)  # noqa: TRY400 - the same
        sys.exit(1)
