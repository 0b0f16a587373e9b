"""What the body of an answer is, and what it says: JSON, a page, plain text, nothing, or half of any of them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

TEXT_LIMIT = 20_000
_DEPTH_LIMIT = 5
_MARKUP = re.compile(r"<\s*(!doctype|html|head|body|title|center|h1|hr|p|div|br|\?xml)\b", re.IGNORECASE)
_SAYS_WHY = re.compile(
    r"(err(or)?s?|msg|message|reason|detail(s)?|description|code|title|error_?(code|message|description|type)|ret_?(code|msg)|status_?(code|message))",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"ret_?code|err(or)?_?code|errno", re.IGNORECASE)
_NO_ERROR = frozenset({"", "0", "None", "200", "False", "[]", "{}"})
_DENIALS = {"success": (False, "false"), "ok": (False,), "status": ("error", "fail", "failed", "failure", "rejected")}


@dataclass(frozen=True, slots=True)
class Body:
    """What an answer says.

    ``text`` is everything a person could read in it, lower case and bounded. ``is_document``: a JSON object
    or list; ``says_why``: with a code, a message or the like; ``denies_success``: it says of itself that it failed.
    ``is_page``: markup, so a proxy may have written it. ``is_plain``: plain text that is no part of JSON.
    """

    text: str
    is_document: bool = False
    is_page: bool = False
    says_why: bool = False
    denies_success: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.text and not self.is_document

    @property
    def is_plain(self) -> bool:
        return bool(self.text) and not self.is_document and not self.is_page and not self.text.startswith(("{", "["))


def read_body(text: str, broker_code: str = "") -> Body:
    """Return what ``text`` is and says, whatever it is.

    ``broker_code`` is what the raw code gave beside the status: a message that came with one was taken
    out of the broker's document.
    """
    code_given = broker_code.strip(" -") != ""
    try:
        document = json.loads(text) if text.lstrip()[:1] in ("{", "[", '"') else None
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict | list):
        words = " ".join(_words(document))
        return Body(
            words[:TEXT_LIMIT].lower(),
            is_document=True,
            is_page=bool(_MARKUP.search(words[:TEXT_LIMIT])),
            says_why=code_given or _says_why(document),
            denies_success=_denies_success(document),
        )
    said = document if isinstance(document, str) else text
    is_page = bool(_MARKUP.search(said[:TEXT_LIMIT]))
    return Body(
        " ".join(said[:TEXT_LIMIT].split()).lower(),
        is_document=code_given and not is_page,
        is_page=is_page,
        says_why=code_given and not is_page,
        denies_success=code_given and not is_page,
    )


def all_words(document: object) -> str:
    """Return everything a document says, in lower case and bounded."""
    return " ".join(_words(document))[:TEXT_LIMIT].lower()


def _words(value: object, depth: int = 0) -> Iterator[str]:
    """Yield what a document says: its strings and numbers, and the names of what it denies."""
    if depth > _DEPTH_LIMIT:
        return
    if isinstance(value, dict):
        for item in value.values():
            yield from _words(item, depth + 1)
    elif isinstance(value, list):
        for item in value[:50]:
            yield from _words(item, depth + 1)
    elif isinstance(value, str):
        yield value[:TEXT_LIMIT]
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        yield str(value)


def _says_why(document: object) -> bool:
    if isinstance(document, list):
        return any(_says_why(item) for item in document[:5])
    if not isinstance(document, dict):
        return False
    return any(
        _SAYS_WHY.fullmatch(str(name)[:40]) and value not in (None, "", [], {}) for name, value in document.items()
    )


def _denies_success(document: object) -> bool:
    if isinstance(document, list):
        return any(_denies_success(item) for item in document[:5])
    if not isinstance(document, dict):
        return False
    if any(
        document.get(name) in values
        for name, values in _DENIALS.items()
        if not isinstance(document.get(name), dict | list)
    ):
        return True
    if any(_NUMBERS.fullmatch(str(name)[:20]) and str(value) not in _NO_ERROR for name, value in document.items()):
        return True
    return bool(document.get("error") or document.get("errors"))
