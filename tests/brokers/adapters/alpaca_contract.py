"""Alpaca's official OpenAPI description: its examples as fixtures, its schemas as a judge."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker


@cache
def trading_api() -> dict[str, Any]:
    return json.loads((files("alpaca_mcp_server") / "specs" / "trading-api.json").read_text())


def order_examples() -> dict[str, dict[str, Any]]:
    """Return every order found anywhere in the description, by where it stands."""
    found: dict[str, dict[str, Any]] = {}
    _collect(trading_api(), "", found)
    return found


def _collect(node: Any, path: str, found: dict[str, dict[str, Any]]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("status"), str) and isinstance(node.get("client_order_id"), str):
            found[path] = node
        for key, value in node.items():
            _collect(value, f"{path}/{key}", found)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _collect(value, f"{path}/{index}", found)


def validator(schema_name: str) -> Draft202012Validator:
    root = {**trading_api(), "$ref": f"#/components/schemas/{schema_name}"}
    return Draft202012Validator(root, format_checker=FormatChecker())
