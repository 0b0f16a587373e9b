"""Check responses against the OpenAPI files Alpaca publishes."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import requests
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPECS = ("trading-api.json", "market-data-api.json")


@cache
def _load(name: str) -> dict[str, Any]:
    return json.loads(files("alpaca_mcp_server").joinpath("specs", name).read_text())


@cache
def _registry() -> Registry:
    return Registry().with_resources(
        (f"urn:{name}", Resource.from_contents(_load(name), default_specification=DRAFT202012)) for name in SPECS
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]+\}", template)
    return re.compile("[^/]+".join(re.escape(part) for part in parts))


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, registry=_registry(), format_checker=FormatChecker())


@cache
def validator_for(method: str, path: str, status: int) -> Draft202012Validator | None:
    """Find the schema of a response; None where the specification describes no body for it.

    Activities are checked as trades: the specification wants each to be exactly one of a trade and a non-trade, but
    requires no field of either, so that every trade is both.

    Raises:
        LookupError: The specification has no such path.
    """
    if path.startswith("/v2/account/activities"):
        return _validator({"type": "array", "items": {"$ref": f"urn:{SPECS[0]}#/components/schemas/TradingActivities"}})
    for name in SPECS:
        for template in sorted(_load(name)["paths"], key=lambda template: template.count("{")):
            if not _pattern(template).fullmatch(path):
                continue
            operation = _load(name)["paths"][template].get(method.lower())
            if operation is None:
                continue
            response = operation["responses"].get(str(status), {})
            if "content" not in response:
                return None
            pointer = template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
            pointer = f"#/paths/{pointer}/{method.lower()}/responses/{status}/content/application~1json/schema"
            return _validator({"$ref": f"urn:{name}{pointer}"})
    raise LookupError(f"{method} {path}")


def check_response(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    """Fail if a response is not what the specification says. Usable as a requests hook."""
    path = urlsplit(response.request.url).path
    validator = validator_for(response.request.method, path, response.status_code)
    if validator is not None:
        errors = [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(response.json())]
        assert not errors, f"{response.request.method} {path} {response.status_code}: {errors[:5]}"
    return response
