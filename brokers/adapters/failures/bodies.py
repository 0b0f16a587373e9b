"""What a failed reply contains: JSON, a page of some proxy, plain text, nothing, or half of any of them."""

import json
import re
from dataclasses import dataclass

MESSAGE_LIMIT = 500
_SEARCH_LIMIT = 65_536
_MARKUP = re.compile(r"<\s*(!doctype|html|head|body|title|center|h1|hr|p|div|\?xml)\b", re.IGNORECASE)
_STATUS = re.compile(r"(?<![\d.])([1-5]\d\d) [A-Z][A-Za-z' -]+")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """A broker's own error document, or the lack of one.

    ``is_json``: it was a JSON object. ``is_page``: markup, so that a proxy may have written it.
    ``says_failure``: the document itself denies success (``{"success": false}``).
    """

    is_json: bool
    code: int | None
    message: str
    is_page: bool = False
    says_failure: bool = False
    document: dict[str, object] | None = None

    @property
    def is_refusal(self) -> bool:
        """Return whether the broker itself says why not."""
        return self.is_json and (self.code is not None or bool(self.message))


def read_body(text: str) -> ErrorBody:
    """Return what ``text`` says, whatever it is."""
    document = _as_document(text)
    if document is None:
        return ErrorBody(False, None, _flat(text), is_page=is_page(text))
    nested = document.get("error")
    fields = {**document, **nested} if isinstance(nested, dict) else document
    return ErrorBody(
        True,
        as_code(fields.get("code")),
        _message(fields),
        says_failure=fields.get("success") is False or fields.get("status") == "error",
        document=fields,
    )


def find_body(text: str) -> ErrorBody | None:
    """Return the first JSON object inside ``text`` that looks like an error, or None."""
    decoder = json.JSONDecoder()
    text = text[:_SEARCH_LIMIT]
    start = text.find("{")
    for _ in range(8):
        if start < 0:
            return None
        try:
            value, _end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            body = read_body(text[start:_end])
            if body.is_refusal or body.says_failure:
                return body
        start = text.find("{", start + 1)
    return None


def find_status(text: str) -> int | None:
    """Return the HTTP status that ``text`` names (``403 Forbidden``) ahead of any body, or None."""
    match = _STATUS.search(re.split(r"[{<]", text[:2000], maxsplit=1)[0])
    return int(match.group(1)) if match else None


def find_page_status(text: str) -> int | None:
    """Return the HTTP status in the title of a proxy's page, or None."""
    match = re.search(r"<(?:title|h1)>\s*([45]\d\d)\b", text[:2000], re.IGNORECASE)
    return int(match.group(1)) if match else None


def is_page(text: str) -> bool:
    """Return whether ``text`` is or contains markup."""
    return bool(_MARKUP.search(text[:_SEARCH_LIMIT]))


def as_code(code: object) -> int | None:
    """Return a broker's numeric code, which some write as text, or None."""
    if isinstance(code, str) and re.fullmatch(r"-?[0-9]{1,12}", code):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _message(fields: dict[str, object]) -> str:
    for name in ("message", "msg", "error", "reason", "detail"):
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            return "; ".join(value)
    return ""


def _as_document(text: str) -> dict[str, object] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    return document if isinstance(document, dict) else None


def _flat(text: str) -> str:
    return " ".join(text[: MESSAGE_LIMIT * 4].split())[:MESSAGE_LIMIT]
