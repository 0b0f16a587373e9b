"""Parts of pages that refresh by themselves."""

import hashlib
import re
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string

# What differs between two readings of the same facts: form tokens, and ages that the page's script counts on.
_PASSING = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*|( data-(?:age|until)>)[^<]*')


def fragment_response(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render a fragment; answer 304 when the page has the same facts already."""
    html = render_to_string(template, context, request)
    facts = _PASSING.sub(r"\1\2", html)
    etag = f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"'
    response = HttpResponse(html) if request.headers.get("If-None-Match") != etag else HttpResponseNotModified()
    response["ETag"] = etag
    return response
