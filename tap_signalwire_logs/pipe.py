"""`tap-signalwire-logs-pipe`: the tap into a target without Meltano, with a state file that no failure empties.

`tap-signalwire-logs-pipe --config config.json --state state.json -- target-duckdb --config target.json`

What comes before `--` goes to the tap. The state file need not be there yet. It is replaced whenever the target
confirms a state, in one step, so that it is whole at any moment. The exit code is that of the target where it failed,
else that of the tap.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

TAP = "tap-signalwire-logs"
USAGE = f"usage: {TAP}-pipe --config CONFIG --state STATE [TAP'S OPTIONS] -- TARGET [TARGET'S OPTIONS]"
USAGE_ERROR = 2
NOT_FOUND = 127


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the tap into a target; gives the exit code."""
    if "--" not in arguments or arguments[0] in {"-h", "--help"}:
        return _say(USAGE, 0 if arguments[:1] in (["-h"], ["--help"]) else USAGE_ERROR)
    place = arguments.index("--")
    of_tap, target = arguments[:place], arguments[place + 1 :]
    state = _state_file(of_tap)
    if not state or not target:
        return _say(USAGE, USAGE_ERROR)
    if not state.exists():
        of_tap = _without_state(of_tap)
    found = shutil.which(target[0])
    if not found:
        return _say(f"{target[0]}: command not found; the tap was not started", NOT_FOUND)
    return _pipe([*_tap(), *of_tap], [found, *target[1:]], state)


def _pipe(tap: list[str], target: list[str], state: Path) -> int:
    # In a session of its own: Ctrl-C ends the tap, and the target loads what came until then.
    loader = subprocess.Popen(target, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603 - the user's own command
    assert loader.stdin  # noqa: S101 - it was asked for
    assert loader.stdout  # noqa: S101 - it was asked for
    extractor = subprocess.Popen(tap, stdout=loader.stdin)  # noqa: S603 - the tap
    # The tap alone holds it now: it sees where the target ends, and the target where the tap does.
    loader.stdin.close()

    def forward(number: int, _: FrameType | None) -> None:
        extractor.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    _keep_states(loader.stdout, state)
    codes = loader.wait(), extractor.wait()
    code = next(filter(None, codes), 0)
    return 128 - code if code < 0 else code


def _keep_states(lines: IO[bytes], state: Path) -> None:
    """Put each state that the target confirms in the place of the one before."""
    for line in lines:
        # A line that was cut, or is no state, is none to go on from.
        if line.endswith(b"\n") and _is_object(line):
            _replace(state, line)
        else:
            sys.stderr.buffer.write(line)
            sys.stderr.flush()


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _replace(file: Path, content: bytes) -> None:
    whole = file.resolve()
    fresh = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        fresh.replace(whole)
    finally:
        fresh.unlink(missing_ok=True)


def _state_file(arguments: list[str]) -> Path | None:
    for place, argument in enumerate(arguments):
        if argument.startswith("--state="):
            return Path(argument.partition("=")[2])
        if argument == "--state":
            return Path(arguments[place + 1]) if place + 1 < len(arguments) else None
    return None


def _without_state(arguments: list[str]) -> list[str]:
    return [
        argument
        for place, argument in enumerate(arguments)
        if not argument.startswith("--state=") and "--state" not in (argument, arguments[place - 1] if place else "")
    ]


def _tap() -> list[str]:
    """The tap of this very installation."""
    return [sys.executable, "-m", "tap_signalwire_logs"]


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    main()
