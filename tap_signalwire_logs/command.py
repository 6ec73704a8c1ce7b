"""How the command writes to its pipe, and how it ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.plugin_base import SingerCommand

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    import click
    from singer_sdk.singerlib.encoding.simple import Message


class Writer(MsgSpecWriter):
    """Writes Singer messages to stdout, the digits of decimals kept, until the target closes the pipe."""

    def __init__(self) -> None:
        """Begin with an open pipe."""
        super().__init__()
        self.on_target_gone: Callable[[], None] | None = None
        self._gone = False

    def write_message(self, message: Message) -> None:
        """Write one line; nothing more once nobody reads."""
        if self._gone:
            return
        try:
            super().write_message(message)
        except BrokenPipeError:
            self._gone = True
            # What is left in the buffer would raise once more when the interpreter closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if self.on_target_gone:
                self.on_target_gone()


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
        except (SingerSDKError, OSError) as error:
            self.logger.error("%s", error)  # noqa: TRY400 - the message says it all
        sys.exit(1)
