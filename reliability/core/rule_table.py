"""The rules of one source, found by raw code."""

import re
from collections.abc import Iterable
from heapq import merge

from reliability.core.classification import RawFailure
from reliability.core.rules import Rule

TEXT_LIMIT = 20_000
_CLASS_WITH_DETAIL = re.compile(r"([A-Za-z_][\w.]*)\s*[:(]\s*(.*)", re.DOTALL)
_QUALIFIED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def codes_of(raw_code: str) -> tuple[str, ...]:
    """Return the codes a raw code may be looked up by, narrowest first, in lower case.

    ``requests.exceptions.ReadTimeout`` is also ``readtimeout``; ``OperationalError:text`` is also ``operationalerror``.
    """
    code = raw_code.strip()[:500]
    match = _CLASS_WITH_DETAIL.fullmatch(code)
    head = match[1] if match else code
    codes = [code, head]
    if _QUALIFIED.fullmatch(head):
        codes.append(head.rpartition(".")[2])
    return tuple(dict.fromkeys(one.lower() for one in codes))


def text_of(raw: RawFailure) -> str:
    """Return what patterns are searched in: the detail of the raw code and the message, in lower case, bounded."""
    match = _CLASS_WITH_DETAIL.fullmatch(raw.raw_code.strip()[:500])
    detail = match[2] if match else ""
    return f"{detail}\n{raw.message[:TEXT_LIMIT]}".lower() if detail else raw.message[:TEXT_LIMIT].lower()


class RuleTable:
    """Rules in their order; the first that fits decides."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: list[Rule] = []
        self._by_code: dict[str, list[int]] = {}
        self._for_any: list[int] = []
        self.extend(rules)

    def extend(self, rules: Iterable[Rule]) -> None:
        """Add ``rules`` behind those that are there."""
        for rule in rules:
            place = len(self._rules)
            self._rules.append(rule)
            if not rule.raw_codes:
                self._for_any.append(place)
            for code in rule.raw_codes:
                self._by_code.setdefault(code.lower(), []).append(place)

    def find(self, raw: RawFailure, codes: tuple[str, ...], text: str) -> Rule | None:
        """Return the rule that decides ``raw``, or None.

        ``codes`` and ``text`` are those of ``codes_of`` and ``text_of``, made once for all tables.
        """
        places = merge(self._for_any, *(self._by_code.get(code, ()) for code in codes))
        for place in places:
            rule = self._rules[place]
            if rule.operations and raw.operation not in rule.operations:
                continue
            if rule.message is None or rule.message.search(text):
                return rule
        return None
