"""An MCP client of the official SDK, as it comes: it finds Grantor by itself, becomes a client of it, and signs its user in.

    python client.py http://localhost:8931/mcp

With --document it is known by the URL of a document about it (Client ID Metadata Document), where the server takes that;
otherwise it registers (RFC 7591).
"""

import argparse
import asyncio
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

Log = Callable[[httpx2.Response], Awaitable[None]]


@dataclass
class Memory:
    """What the SDK remembers; a real client keeps it where only its user can read it."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client: OAuthClientInformationFull) -> None:
        self.client = client


@dataclass
class Loopback:
    """Waits on this device for the browser to come back (RFC 8252 §7.3)."""

    answer: asyncio.Future[dict[str, str]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    uri: str = ""

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Loopback"]:
        self = cls()
        listener = await asyncio.start_server(self.receive, "127.0.0.1", 0)
        self.uri = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/callback"
        try:
            yield self
        finally:
            listener.close()

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit((await reader.readline()).decode().split(" ")[1])
        found = target.path == "/callback"
        if found and not self.answer.done():
            self.answer.set_result({name: values[0] for name, values in parse_qs(target.query).items()})
        status, text = ("200 OK", "You can close this window.") if found else ("404 Not Found", "There is nothing here.")
        head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
        writer.write((head + text).encode())
        await writer.drain()
        writer.close()

    async def callback(self) -> AuthorizationCodeResult:
        answer = await self.answer
        if "error" in answer:
            raise PermissionError(f"{answer['error']}: {answer.get('error_description', '')}")
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


@dataclass
class Session:
    """A connection to an MCP server, and the SDK's state of it."""

    client: Client
    oauth: OAuthClientProvider


@asynccontextmanager
async def connect(
    url: str, browser: Callable[[str], Awaitable[None]], document: str | None = None, log: Log | None = None
) -> AsyncIterator[Session]:
    async with Loopback.open() as loopback:
        oauth = OAuthClientProvider(
            server_url=url,
            client_metadata=OAuthClientMetadata(
                client_name="Example MCP client",
                redirect_uris=[loopback.uri],
                token_endpoint_auth_method="none",
            ),
            storage=Memory(),
            redirect_handler=browser,
            callback_handler=loopback.callback,
            client_metadata_url=document,
        )
        hooks = {"response": [log] if log else []}
        async with (
            httpx2.AsyncClient(auth=oauth, timeout=30, event_hooks=hooks) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield Session(client, oauth)


async def main() -> None:
    parser = argparse.ArgumentParser(description="An MCP client that signs its user in.")
    parser.add_argument("url", help="of the MCP server")
    parser.add_argument("--document", help="the https URL at which this client is described")
    args = parser.parse_args()

    async def browser(url: str) -> None:
        print(f"Sign in here: {url}")
        await asyncio.to_thread(webbrowser.open, url)

    async with connect(args.url, browser, args.document) as session:
        await session.client.call_tool("add_note", {"text": "written by an agent"})
        print((await session.client.call_tool("list_notes", {})).structured_content)


if __name__ == "__main__":
    asyncio.run(main())
