"""The console's files as the gateway serves them: addresses, caching, policy, and an installation without them."""

from pathlib import Path

import httpx
import pytest

from gateway.console.pages import CONSOLE, ConsolePages, read_built
from gateway.front import Front
from mesh.errors import ServiceError
from transcoding.asgi import Receive, Scope, Send, send_response
from transcoding.errors import Rendered


class Api:
    """The edge behind it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_response(send, 200, [("content-type", "text/plain")], b"the API")

    def refusal(self, error: ServiceError) -> Rendered:
        raise NotImplementedError


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Console</title>")
    (tmp_path / "frame.html").write_text("<!doctype html><title>Message</title>")
    (tmp_path / "assets" / "index-1a2b.js").write_text("console.log(1);" * 50)
    return tmp_path


def client(folder: Path) -> httpx.AsyncClient:
    console = ConsolePages(read_built(folder))
    pages = Front(Api(), {CONSOLE: console, CONSOLE.rstrip("/"): console})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=pages), base_url="http://gateway.test")


@pytest.mark.parametrize("path", ["/console/", "/console/notifications", "/console/notifications/0189?x=1", "/console/a/b/c"])
async def test_every_address_below_the_console_is_its_page(built: Path, path: str) -> None:
    async with client(built) as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/v1/notifications", "/consolex", "/docs", "/"])
async def test_everything_else_is_the_apis(built: Path, path: str) -> None:
    async with client(built) as http:
        assert (await http.get(path)).text == "the API"


async def test_the_policy_lets_nothing_in_but_this_gateways_own_files(built: Path) -> None:
    async with client(built) as http:
        policy = (await http.get("/console/")).headers["content-security-policy"]
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == parts["base-uri"] == parts["frame-ancestors"] == parts["form-action"] == "'none'"
    assert parts["script-src"] == parts["style-src"] == parts["connect-src"] == parts["frame-src"] == "'self'"
    assert "unsafe" not in policy


async def test_a_message_is_shown_in_a_frame_without_script_or_network(built: Path) -> None:
    async with client(built) as http:
        answer = await http.get("/console/frame.html")
    parts = {name: rest for name, _, rest in (part.partition(" ") for part in answer.headers["content-security-policy"].split("; "))}
    assert answer.text.endswith("<title>Message</title>")
    assert parts["default-src"] == parts["form-action"] == parts["base-uri"] == "'none'"
    assert (parts["frame-ancestors"], parts["sandbox"], parts["img-src"]) == ("'self'", "allow-same-origin", "data:")
    assert not {"script-src", "connect-src", "frame-src"} & set(parts)


async def test_an_asset_is_kept_for_good_and_packed_for_those_who_take_it(built: Path) -> None:
    async with client(built) as http:
        packed = await http.get("/console/assets/index-1a2b.js", headers={"accept-encoding": "gzip"})
        plain = await http.get("/console/assets/index-1a2b.js", headers={"accept-encoding": "identity"})
        known = await http.get("/console/assets/index-1a2b.js", headers={"if-none-match": plain.headers["etag"]})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text
    assert "immutable" in plain.headers["cache-control"]
    assert "javascript" in plain.headers["content-type"]
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("path", ["/console/assets/old-9z.js", "/console/assets/../index.html.bak", "/console/assets/%2e%2e/pages.py"])
async def test_an_asset_that_is_no_more_is_not_found_and_not_kept(built: Path, path: str) -> None:
    async with client(built) as http:
        answer = await http.get(path)
    assert answer.status_code in {200, 404}
    assert "console.log" not in answer.text
    assert answer.status_code == 404 or answer.text.startswith("<!doctype html>")


async def test_the_bare_name_leads_to_the_folder_and_nothing_is_posted(built: Path) -> None:
    async with client(built) as http:
        bare = await http.get("/console")
        posted = await http.post("/console/notifications")
        head = await http.head("/console/")
    assert (bare.status_code, bare.headers["location"]) == (308, "/console/")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
    assert (head.status_code, head.content) == (200, b"")


async def test_an_installation_without_the_files_says_how_to_get_them(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        answer = await http.get("/console/")
        other = await http.get("/v1/notifications")
    assert answer.status_code == 503
    assert "make console" in answer.text
    assert other.text == "the API"
