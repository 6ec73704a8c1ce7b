"""The files of `--catalog` and `--state`, refused or unwrapped where they are not what the option takes."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigurationError

from tap_signalwire_logs.families import FAMILIES
from tap_signalwire_logs.instants import parse_instant

if TYPE_CHECKING:
    import logging
    from typing import IO

STREAMS = [family.name for family in FAMILIES]

FIRST_RUN_HELP = "leave `--state` out on a first run"
WRAPPERS = ("singer_state", "value", "completed")
"""Keys behind which a state is found: what `meltano state get` prints, a STATE message, a file of Meltano's."""


def read_catalog(file: IO[str]) -> dict[str, Any]:
    """Read the file of `--catalog`.

    Raises:
        ConfigurationError: It is no catalog.
    """
    content = _read(file, "--catalog")
    streams = content.get("streams") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(streams, list):
        message = "--catalog: no object with a list `streams`; `--discover` prints a catalog"
        raise ConfigurationError(message)
    for place, entry in enumerate(streams, 1):
        wrong = _wrong_in_entry(entry)
        if wrong:
            message = f"--catalog: entry {place} of `streams` {wrong}; `--discover` prints a catalog"
            raise ConfigurationError(message)
    return content


def _wrong_in_entry(entry: Any) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("tap_stream_id"), str):
        return "has no `tap_stream_id`"
    if not isinstance(entry.get("schema", {}), dict):
        return "has a `schema` that is no object"
    metadata = entry.get("metadata", [])
    if not isinstance(metadata, list) or not all(_is_metadata(one) for one in metadata):
        return "has `metadata` that is no list of objects with `breadcrumb` and `metadata`"
    return None


def _is_metadata(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("breadcrumb"), list)
        and all(isinstance(crumb, str) for crumb in one["breadcrumb"])
        and isinstance(one.get("metadata"), dict)
    )


def read_state(file: IO[str], logger: logging.Logger) -> dict[str, Any]:
    """Read the file of `--state`, and say what of it is not taken as it is.

    Raises:
        ConfigurationError: It is no state.
    """
    content = _read(file, "--state")
    state = unwrap_state(content)
    bookmarks = state["bookmarks"]
    if not bookmarks:
        logger.warning("--state: no bookmark in it; everything is read from the start")
    elif state is not content:
        logger.info("--state: unwrapped; it has bookmarks of %s", ", ".join(bookmarks))
    unknown = [name for name in bookmarks if name not in STREAMS]
    if unknown:
        logger.warning("--state: bookmarks of %s are kept but not used: no streams of this tap", _named(unknown))
    return state


def unwrap_state(content: Any) -> dict[str, Any]:
    """State, its bookmarks checked, of what is one or holds one where it is plain what was meant.

    Raises:
        ConfigurationError: It is no state, or a bookmark in it is none.
    """
    inner = content
    while isinstance(inner, dict) and "bookmarks" not in inner:
        wrapper = next((key for key in WRAPPERS if key in inner), None)
        if wrapper is None:
            break
        if wrapper == "completed" and inner.get("partial"):
            message = "--state: a state and a partial one side by side; give what `meltano state get` prints"
            raise ConfigurationError(message)
        inner = inner[wrapper]
    if not isinstance(inner, dict):
        kind = "null" if inner is None else f"a JSON {_kind(inner)}"
        message = f"--state: {kind}, no state; {FIRST_RUN_HELP}"
        raise ConfigurationError(message)
    state = inner if "bookmarks" in inner else {"bookmarks": _bare_bookmarks(inner)}
    _check_bookmarks(state["bookmarks"])
    return state


def _bare_bookmarks(content: dict[str, Any]) -> dict[str, Any]:
    if all(name in STREAMS and isinstance(bookmark, dict) for name, bookmark in content.items()):
        return content
    message = f"--state: an object without `bookmarks`, no state; {FIRST_RUN_HELP}"
    raise ConfigurationError(message)


def _check_bookmarks(bookmarks: Any) -> None:
    if not isinstance(bookmarks, dict):
        message = f"--state: `bookmarks` is a JSON {_kind(bookmarks)}, no object; {FIRST_RUN_HELP}"
        raise ConfigurationError(message)
    wrong = [said for name, bookmark in bookmarks.items() if (said := _wrong_in_bookmark(name, bookmark))]
    if wrong:
        raise ConfigurationError("\n".join(["Invalid state (--state):", *(f"  - {one}" for one in wrong)]))
    unknown = [name for name in bookmarks if name not in STREAMS]
    if unknown and len(unknown) == len(bookmarks):
        message = (
            f"--state: bookmarks of {_named(unknown)}, which are no streams of this tap; is it another tap's state?"
        )
        raise ConfigurationError(message)


def _wrong_in_bookmark(name: str, bookmark: Any) -> str | None:
    if not isinstance(bookmark, dict):
        return f"`{name}`: a JSON {_kind(bookmark)} instead of a bookmark (an object)"
    if name not in STREAMS or "replication_key_value" not in bookmark:
        return None
    try:
        parse_instant(bookmark["replication_key_value"])
    except (ValueError, OverflowError):
        return f"`{name}`: its `replication_key_value` is no ISO 8601 date-time"
    return None


def _named(names: list[str]) -> str:
    told = []
    for name in names[:10]:
        near = difflib.get_close_matches(name, STREAMS, 1)
        told.append(f"`{name[:60]}`" + (f" (did you mean `{near[0]}`?)" if near else ""))
    return ", ".join(told)


def _read(file: IO[str], option: str) -> Any:
    try:
        text = file.read().removeprefix("\ufeff")
    except UnicodeDecodeError:
        message = f"{option}: no UTF-8 text"
        raise ConfigurationError(message) from None
    if not text.strip():
        help_ = f"; {FIRST_RUN_HELP}" if option == "--state" else ""
        message = f"{option}: the file is empty{help_}"
        raise ConfigurationError(message)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        several = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        help_ = ": it holds several JSON values; give the last one alone (`tail -1`)" if several else f": {error}"
        message = f"{option}: the file is no JSON{help_}"
        raise ConfigurationError(message) from None


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {list: "list", str: "text", bool: "boolean", dict: "object", type(None): "null"}
    return kinds.get(type(value), "number")
