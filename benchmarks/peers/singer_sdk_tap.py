"""A tap as singer-sdk's template teaches it: a list stream, and in mode `get` a child stream that gets each log."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BasicAuthenticator
from singer_sdk.pagination import BaseHATEOASPaginator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from urllib.parse import ParseResult

    import requests

PAGE_SIZE = 1_000
SCHEMA = th.PropertiesList(
    th.Property("id", th.StringType),
    th.Property("from", th.StringType),
    th.Property("to", th.StringType),
    th.Property("status", th.StringType),
    th.Property("direction", th.StringType),
    th.Property("kind", th.StringType),
    th.Property("source", th.StringType),
    th.Property("type", th.StringType),
    th.Property("url", th.StringType),
    th.Property("number_of_segments", th.IntegerType),
    th.Property("charge", th.NumberType),
    th.Property(
        "charge_details",
        th.ArrayType(th.ObjectType(th.Property("description", th.StringType), th.Property("charge", th.NumberType))),
    ),
    th.Property("created_at", th.DateTimeType),
    th.Property("error_message", th.StringType),
    th.Property("error_code", th.StringType),
).to_dict()


class NextLink(BaseHATEOASPaginator):
    """Follows `links.next`."""

    def get_next_url(self, response: requests.Response) -> str | None:
        """Link of an answer."""
        link: str | None = response.json()["links"].get("next")
        return link


class SpaceStream(RESTStream["ParseResult"]):
    """What both streams share."""

    schema = SCHEMA
    primary_keys = ("id",)

    @property
    def url_base(self) -> str:
        """The Space."""
        return f"http://{self.config['space']}"

    @property
    def authenticator(self) -> BasicAuthenticator:
        """Basic authentication."""
        return BasicAuthenticator(username=self.config["project_id"], password=self.config["api_token"])


class ListStream(SpaceStream):
    """The entries of the list."""

    name = "message_logs"
    path = "/api/messaging/logs"
    records_jsonpath = "$.data[*]"

    def get_new_paginator(self) -> NextLink:
        """Paginator of the list."""
        return NextLink()

    def get_url_params(
        self,
        context: Mapping[str, Any] | None,  # noqa: ARG002 - as the SDK gives it
        next_page_token: ParseResult | None,
    ) -> dict[str, Any]:
        """Parameters of a page."""
        return dict(parse_qsl(next_page_token.query)) if next_page_token else {"page_size": PAGE_SIZE}

    def get_child_context(
        self,
        record: Mapping[str, Any],
        context: Mapping[str, Any] | None,  # noqa: ARG002 - as the SDK gives it
    ) -> dict[str, Any]:
        """What the child stream asks for."""
        return {"log_id": record["id"]}


class ParentStream(ListStream):
    """The list, whose entries come out only as records of the child stream."""

    name = "listed_logs"
    selected_by_default = False


class GetStream(SpaceStream):
    """The answer of the get endpoint for each entry."""

    name = "message_logs"
    path = "/api/messaging/logs/{log_id}"
    records_jsonpath = "$"
    parent_stream_type = ParentStream
    # By default the state grows by an entry for each log, and is written whole after each.
    state_partitioning_keys: Sequence[str] | None = ()


class TapPeer(Tap):
    """The tap; `mode` is list or get."""

    name = "tap-peer"
    config_jsonschema = th.PropertiesList(
        th.Property("space", th.StringType, required=True),
        th.Property("project_id", th.StringType, required=True),
        th.Property("api_token", th.StringType, required=True, secret=True),
        th.Property("mode", th.StringType, default="list"),
    ).to_dict()

    def discover_streams(self) -> list[SpaceStream]:
        """Streams of the mode."""
        return [ParentStream(self), GetStream(self)] if self.config["mode"] == "get" else [ListStream(self)]


def main() -> None:
    """Run the tap with its output in a file; `--version` and `--about` as in any tap."""
    if len(sys.argv) > 2:
        settings_file, mode, _, output, *options = sys.argv[1:]
        if "--default-state" in options:
            GetStream.state_partitioning_keys = None
        settings = {**json.loads(Path(settings_file).read_text(encoding="utf-8")), "mode": mode}
        config = Path(f"{output}.config.json")
        config.write_text(json.dumps(settings), encoding="utf-8")
        sys.argv[1:] = ["--config", str(config)]
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    TapPeer.cli()


if __name__ == "__main__":
    main()
