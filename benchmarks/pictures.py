"""Pictures of every page for the docs: ``make pictures``, or ``python -m benchmarks.pictures --only operator-screen``.

A stack of its own is started and used as it would be: orders go through, a broker loses replies and refuses calls,
a worker is killed, a task nobody knows arrives, trading is frozen, a drill and a reconciliation are run. Then a browser
looks at every page as the person on duty, and at some on the width of a phone and in the dark.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.evidence import machine_line
from config.stack.client import ApiClient, RefusedError
from config.stack.demo import post_json
from config.stack.running import ROOT, RunningInstance, running_instance

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

FOLDER = ROOT / "docs" / "images"
CHROMIUM = Path("/usr/bin/chromium")
DESK: "ViewportSize" = {"width": 1366, "height": 1000}
PHONE: "ViewportSize" = {"width": 390, "height": 844}
_SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "TSLA")
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: of the whole of a page, or of a part of it; ``tall`` lets it be as long as the page is."""

    name: str
    address: str
    part: str = ""
    phone: bool = False
    dark: bool = False
    tall: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="take this picture alone")
    arguments = parser.parse_args()
    if not CHROMIUM.exists():
        print(f"stanchion: {CHROMIUM} is missing (Debian: apt install chromium)", file=sys.stderr)
        return 1
    print(machine_line())
    own = {"DATABASE_URL": "", "REDIS_URL": ""}
    with (
        TemporaryDirectory(prefix="stanchion-") as place,
        running_instance(directory=Path(place) / "desk", environment=own, report=print) as instance,
    ):
        print("the stack runs; it is put to use")
        known = asyncio.run(use(instance))
        taken = take(instance, known, arguments.folder, set(arguments.only))
    print(f"{taken} pictures in {arguments.folder}")
    return 0


# -- a run worth looking at -------------------------------------------------------------------


async def use(instance: RunningInstance) -> dict[str, str]:
    """Use the stack until every page has something to show; returns the numbers of what has a page of its own."""
    async with ApiClient(instance.urls["web"], instance.env["STANCHION_API_TOKEN"]) as client:
        order = await _send_orders(client, "a", 60)
        post_json(
            instance.urls["simbroker-a"] + "/sim/faults", {"kind": "drop_reply", "operation": "submit", "count": 4}
        )
        instance.control.kill("worker-orders")
        await _send_orders(client, "b", 20)
        manage(instance, "drill", "run", "sim-a")
        manage(instance, "reconcile", "--account", "sim-a", "--full", "--quiet", must=False)
        _send_unknown_task(instance)
        freeze = ("account:sim-b/symbol:TSLA", "--mode", "reduce_only", "--reason", "the broker disputes a fill")
        manage(instance, "freezes", "freeze", *freeze)
        post_json(
            instance.urls["simbroker-b"] + "/sim/faults",
            {"kind": "error", "operation": "submit", "status": 503, "seconds": 600},
        )
        await _send_orders(client, "c", 20)
        incident = await _first(client, "/api/v1/incidents", lambda one: True)
        question = await _first(client, "/api/v1/interventions", lambda one: True)
        run = await _first(client, "/api/v1/reconciliations", lambda one: bool(one["is_over"]))
        recovery = await _first(client, "/api/v1/recoveries", lambda one: True)
    return {"order": order, "incident": incident, "question": question, "run": run, "recovery": recovery}


async def _send_orders(client: ApiClient, batch: str, number: int) -> str:
    """Send orders of mixed kinds; returns the id of the first."""
    chance = random.Random(batch)
    first = ""
    for place in range(number):
        order: dict[str, Any] = {"symbol": chance.choice(_SYMBOLS), "side": "buy", "quantity": chance.randint(1, 40)}
        order |= {"account": chance.choice(("sim-a", "sim-b"))}
        if place % 4 == 3:
            order |= {"type": "limit", "limit_price": "0.5", "time_in_force": "gtc"}
        try:
            sent = await client.submit(f"pictures-{batch}-{place}", order)
        except RefusedError:
            continue
        first = first or sent
    return first


async def _first(client: ApiClient, path: str, fits: Callable[[dict[str, Any]], bool]) -> str:
    """Wait for the first row that fits, and return its number."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        for row in (await client.get(path))["results"]:
            if fits(row):
                return str(row["id"])
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing at {path} to take a picture of")
        await asyncio.sleep(0.5)


def manage(instance: RunningInstance, *words: str, must: bool = True) -> None:
    """Run a command of the installation."""
    argv = [sys.executable, "manage.py", *words]
    done = subprocess.run(argv, cwd=ROOT, env=instance.environment, capture_output=True, text=True)
    print(f"  {' '.join(words)}: {(done.stdout or done.stderr).strip()[-100:]}")
    if must and done.returncode:
        raise RuntimeError(done.stderr)


def _send_unknown_task(instance: RunningInstance) -> None:
    argv = [sys.executable, "-m", "celery", "-A", "config.celery", "call", "reports.monthly", "--queue=default"]
    subprocess.run(argv, cwd=ROOT, env=instance.environment, capture_output=True, check=True)


# -- pictures ---------------------------------------------------------------------------------


def pictures(known: dict[str, str]) -> list[Picture]:
    """Return every picture, with the pages that show something in particular."""
    return [
        Picture("operator-screen", "/"),
        Picture("operator-screen-dark", "/", dark=True),
        Picture("operator-screen-phone", "/", phone=True),
        Picture("circuits", "/", part="section:has(#circuits)"),
        Picture("keys", "/"),
        Picture("incidents", "/incidents?state="),
        Picture("incident", f"/incidents/{known['incident']}"),
        Picture("incident-phone", f"/incidents/{known['incident']}", phone=True),
        Picture("intervention", f"/interventions/{known['question']}", phone=True, tall=True),
        Picture("runbooks", "/runbooks"),
        Picture("runbook", known["execution"]) if "execution" in known else Picture("runbook", "/runbooks"),
        Picture("order-page", f"/orders/{known['order']}"),
        Picture("reconciliation", "/reconciliation"),
        Picture("reconciliation-run", f"/reconciliation/runs/{known['run']}"),
        Picture("recoveries", "/recoveries"),
        Picture("recovery", f"/recoveries/{known['recovery']}"),
        Picture("market-data", "/market-data", tall=True),
        Picture("service-levels", "/service-levels"),
        Picture("flower", "/flower/broker"),
        Picture("dead-letters", "/admin/reliability/deadletter/"),
        Picture("admin-orders", "/admin/brokers/order/"),
        Picture("admin-feeds", "/admin/reconciliation/feed/"),
        Picture("admin-audit", "/admin/reliability/auditentry/"),
        Picture("api", "/api/v1/docs/"),
    ]


def take(instance: RunningInstance, known: dict[str, str], folder: Path, only: set[str]) -> int:
    """Log in, follow a runbook for its picture, and take all pictures; returns how many."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-sync"])
        page = browser.new_page(viewport=DESK)
        _log_in(page, instance)
        known = {**known, "execution": _follow_runbook(page, instance.urls["web"])}
        wanted = [one for one in pictures(known) if not only or one.name in only]
        for one in wanted:
            _shoot(page, instance.urls["web"], one, folder)
        browser.close()
    return len(wanted)


def _log_in(page: Any, instance: RunningInstance) -> None:
    page.goto(instance.urls["web"] + "/")
    page.get_by_label("Username").fill(instance.env["STANCHION_ADMIN_USER"])
    page.get_by_label("Password").fill(instance.env["STANCHION_ADMIN_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(instance.urls["web"] + "/")


def _follow_runbook(page: Any, web: str) -> str:
    """Begin the runbook of a dead letter, carry its first step out, and return the address of where it stands."""
    page.goto(web + "/runbooks/alert:job.dead_letter?scope=jobs:celery.message")
    page.get_by_role("button", name="Follow it").click()
    page.locator("#note-0").fill("a task of another program")
    page.locator("#do-0").click()
    page.locator("#step-1[aria-current]").wait_for()
    return str(page.url).removeprefix(web)


def _shoot(page: Any, web: str, one: Picture, folder: Path) -> None:
    page.set_viewport_size(PHONE if one.phone else DESK)
    page.emulate_media(color_scheme="dark" if one.dark else "light")
    page.goto(web + one.address)
    page.wait_for_load_state("networkidle" if one.name in ("api", "flower") else "load")
    if one.name == "keys":
        page.keyboard.press("j")
        page.keyboard.press("?")
    target = page.locator(one.part).first if one.part else page
    options = {} if one.part else {"full_page": one.tall}
    target.screenshot(path=str(folder / f"{one.name}.png"), **options)
    print(f"  {one.name}")


if __name__ == "__main__":
    sys.exit(main())
