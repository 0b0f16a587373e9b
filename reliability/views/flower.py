"""Flower's pages under our own login: only what reads is handed on."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt

from reliability.conf import get_conf
from reliability.core.errors import ReliabilityError
from reliability.services.flower import may_read, read_flower

# Flower's tables size themselves by styles in the page, and its list of workers says in two lines of script whether it
# refreshes itself: these two, known by their digests, and no other script of a page may run.
_REFRESHING = (
    "sha256-A0YIP5A+DKoseGAUTHRoMPDkKPK5cKzfYH3mjcCKtj8=",
    "sha256-Plc72SJ5jJr8U3f1AUIRpRT60gipUj+EwCvnh1JkE68=",
)
_POLICY = (
    f"default-src 'none'; script-src 'self' '{_REFRESHING[0]}' '{_REFRESHING[1]}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'"
)


@csrf_exempt  # nothing is changed here: what would change anything is refused
@login_required
@permission_required("reliability.view_job", raise_exception=True)
def flower(request: HttpRequest, path: str = "") -> HttpResponse:
    if not get_conf().flower_url:
        raise Http404("no Flower belongs to this installation")
    method = str(request.method)
    if not may_read(method, path):
        text = "Flower can only be read here. Pause lanes and decide on dead letters on the operator screen."
        return HttpResponse(text, content_type="text/plain", status=403)
    try:
        answer = read_flower(method, path, request.META["QUERY_STRING"], dict(request.headers), request.body)
    except ReliabilityError as error:
        return render(request, "reliability/flower_away.html", {"reason": error.message}, status=502)
    response = HttpResponse(answer.body, status=answer.status, headers=answer.headers)
    if not path.startswith("static/"):
        patch_cache_control(response, no_store=True)
    response["Content-Security-Policy"] = _POLICY
    return response
