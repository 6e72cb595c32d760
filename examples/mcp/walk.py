"""Walks the whole way, once for each way in which a client comes to be known, and says what went over the wire.

    python walk.py ../../target/release/grantor

It starts Grantor and the MCP server in a directory that is thrown away, and the website at which the client describes
itself. The client is that of client.py: nothing in it is made for Grantor. Whoever sits before the browser is played.
"""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import jwt
import trustme

from client import Session, connect

HERE = Path(__file__).parent
PASSWORD = "three words of nonsense"


class Form(HTMLParser):
    """The first form of a page: where it goes, and what is hidden in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.hidden = "", {}
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        its = dict(attributes)
        if tag == "form" and not self.action:
            self.action = its["action"]
        if tag == "input" and its.get("type") == "hidden":
            self.hidden.setdefault(its["name"], its["value"])


@dataclass
class Person:
    """Signs in as ada where asked to, reads the question, and allows it."""

    http: httpx2.AsyncClient
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    question: str = ""

    async def browse(self, url: str) -> None:
        self.asked.append(parse_qs(urlsplit(url).query))
        page = await self.http.get(url)
        for _ in range(2):
            if (form := Form(page.text)).action.endswith("/sign-in"):
                page = await self.fill(page, form, username="ada", password=PASSWORD)
            elif form.action.endswith("/consent"):
                self.question = page.text
                page = await self.fill(page, form, decision="allow")
        assert page.text == "You can close this window.", f"{page.status_code} {page.url}\n{page.text}"

    async def fill(self, page: httpx2.Response, form: Form, **fields: str) -> httpx2.Response:
        return await self.http.post(urljoin(str(page.url), form.action), data=form.hidden | fields)


@dataclass
class Place:
    """Everything that runs."""

    issuer: str
    mcp: str
    document: str
    # Of a client of its own, which acts for itself.
    secret: str


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def running(command: list[str], url: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until = monotonic() + 30
        while True:
            try:
                httpx2.get(url)
                break
            except httpx2.TransportError:
                assert process.poll() is None and monotonic() < until, f"{command[0]} does not answer"
                sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def website(folder: Path) -> Iterator[str]:
    """An https website with one page: the client's document about itself."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    class Website(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({
                "client_id": url,
                "client_name": "Example MCP client",
                # Native applications have another port each time (RFC 8252 §7.3).
                "redirect_uris": ["http://127.0.0.1/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "none",
            }).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            print("  Grantor reads the document about the client")

    site = ThreadingHTTPServer(("127.0.0.1", 0), Website)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    url = f"https://localhost:{site.server_port}/client.json"
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield url
    finally:
        site.shutdown()


@contextmanager
def place(grantor: str) -> Iterator[Place]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        document = stack.enter_context(website(folder))
        port, mcp_port = free_port(), free_port()
        issuer, mcp = f"http://localhost:{port}", f"http://localhost:{mcp_port}/mcp"
        config = folder / "grantor.toml"
        config.write_text((HERE / "grantor.toml").read_text() + f"""
[server]
listen = "127.0.0.1:{port}"
data_dir = "{folder}"

[outgoing]
allow = ["127.0.0.1/32", "::1"]
extra_ca = "{folder}/ca.pem"

[log]
filter = "error"
""")

        def admin(*words: str, stdin: str | None = None) -> str:
            command = [grantor, *words, "--config", str(config)]
            return subprocess.run(command, input=stdin, check=True, text=True, stdout=subprocess.PIPE).stdout

        admin("user", "create", "--username", "ada", "--password-stdin", stdin=PASSWORD)
        admin("resource", "create", mcp, "--name", "Notes", "--scope", "notes")
        admin("resource", "create", "https://other.example", "--name", "Another API", "--scope", "other")
        probe = ["--id", "probe", "--name", "Probe", "--grant-type", "client_credentials", "--scope", "notes other"]
        secret = json.loads(admin("client", "create", *probe, "--json"))["client_secret"]

        stack.enter_context(running([grantor, "serve", "--config", str(config)], f"{issuer}/healthz"))
        command = [sys.executable, str(HERE / "server.py"), "--issuer", issuer, "--port", str(mcp_port)]
        stack.enter_context(running(command, mcp))
        yield Place(issuer, mcp, document, secret)


async def seen(response: httpx2.Response) -> None:
    request = response.request
    print(f"  {response.status_code} {request.method} {request.url}")


async def signs_in_and_calls(its: Place, document: str | None) -> None:
    async with httpx2.AsyncClient(follow_redirects=True, timeout=30) as http:
        ada = Person(http)
        async with connect(its.mcp, ada.browse, document, seen) as session:
            text = f"from {document or 'a registered client'}"
            await session.client.call_tool("add_note", {"text": text})
            notes = (await session.client.call_tool("list_notes", {})).structured_content["result"]
            assert notes[-1] == text, notes
            check_client(session, ada, document)
            check_token(session, its)
            await refreshes(session, its)


def check_client(session: Session, ada: Person, document: str | None) -> None:
    client = session.oauth.context.client_info
    assert (client.client_id == document) == (document is not None), client.client_id
    # RFC 8707 §2.1, and what the MCP server's metadata says of scopes.
    assert ada.asked[0]["resource"] == [session.oauth.context.server_url], ada.asked
    assert ada.asked[0]["scope"] == ["notes offline_access"], ada.asked
    assert "Not verified" in ada.question and "runs on your own device" in ada.question
    if document:
        assert urlsplit(document).netloc in ada.question


def check_token(session: Session, its: Place) -> None:
    claims = jwt.decode(session.oauth.context.current_tokens.access_token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == (its.issuer, its.mcp), claims


async def refreshes(session: Session, its: Place) -> None:
    print("  … the access token expires")
    before = session.oauth.context.current_tokens
    session.oauth.context.token_expiry_time = 1.0
    await session.client.call_tool("list_notes", {})
    after = session.oauth.context.current_tokens
    # OAuth 2.1 §4.3.1: refresh tokens of public clients rotate.
    assert after.access_token != before.access_token and after.refresh_token != before.refresh_token
    check_token(session, its)


async def refuses_what_is_not_for_it(its: Place) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient() as http:

        async def call(resource: str, scope: str) -> int:
            form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
            answer = await http.post(f"{its.issuer}/oauth/token", data=form, auth=("probe", its.secret))
            bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
            ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            status = (await http.post(its.mcp, json=ping, headers=accept | bearer)).status_code
            print(f"  {status} with a token for {resource}")
            return status

        assert await call("https://other.example", "other") == 401
        # What is refused next, a session that was not opened, comes after the token.
        assert await call(its.mcp, "notes") not in (401, 403)


async def main() -> None:
    with place(sys.argv[1]) as its:
        print("A client that describes itself:")
        await signs_in_and_calls(its, its.document)
        print("A client that registers:")
        await signs_in_and_calls(its, None)
        print("A token that is for another API:")
        await refuses_what_is_not_for_it(its)
    print("All of it works.")


if __name__ == "__main__":
    asyncio.run(main())
