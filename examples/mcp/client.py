"""Calls a tool of the MCP server with the official SDK, which finds its way to Grantor and gets a token by itself.

    client.py URL [DOCUMENT]    as in  client.py http://localhost:9000/mcp

DOCUMENT is the https URL of the client's own metadata document; without it the client registers itself. The person is
played by this script: it fills in the forms of Grantor's pages, as ada, whose password is in PASSWORD.
"""

import asyncio
import os
import re
import sys
from html import unescape
from urllib.parse import parse_qs, urljoin, urlparse

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

CALLBACK = "http://127.0.0.1:4711/callback"


class Memory(TokenStorage):
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Somebody with a browser: opens the address, signs in, allows it, and ends at the client's callback."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.arrived = ""

    async def open(self, url: str) -> None:
        asked = parse_qs(urlparse(url).query)
        print("the client asks for", asked["scope"][0], "at", asked["resource"][0], "as", asked["client_id"][0])
        async with httpx2.AsyncClient() as browser:
            page = await self.follow(browser, await browser.get(url))
            page = await self.submit(browser, page, {"username": "ada", "password": self.password})
            assert "Not verified" in page.text and "It runs on your own device" in page.text, page.text
            await self.submit(browser, page, {"decision": "allow"})

    async def submit(self, browser: httpx2.AsyncClient, page: httpx2.Response, fields: dict[str, str]) -> httpx2.Response:
        action = re.search(r'<form[^>]* action="([^"]*)"', page.text)
        assert action, page.text
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text)
        fields |= {name: unescape(value) for name, value in hidden}
        return await self.follow(browser, await browser.post(urljoin(str(page.url), action[1]), data=fields))

    async def follow(self, browser: httpx2.AsyncClient, page: httpx2.Response) -> httpx2.Response:
        while location := page.headers.get("location"):
            target = urljoin(str(page.url), location)
            if target.startswith(CALLBACK):
                self.arrived = target
                break
            page = await browser.get(target)
        return page

    async def come_back(self) -> AuthorizationCodeResult:
        assert self.arrived, "the browser did not come back to the client"
        query = parse_qs(urlparse(self.arrived).query)
        return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0], iss=query["iss"][0])


async def main(url: str, document: str | None = None) -> None:
    person, storage = Person(os.environ["PASSWORD"]), Memory()
    metadata = OAuthClientMetadata(client_name="An agent", redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    auth = OAuthClientProvider(url, metadata, storage, person.open, person.come_back, document)
    async with httpx2.AsyncClient(auth=auth) as http, Client(streamable_http_client(url, http_client=http)) as client:
        print("the tool says:", (await client.call_tool("notes")).content[0].text)
        # The access token is used up; the SDK refreshes it by itself.
        assert storage.tokens and storage.tokens.refresh_token, "there is a refresh token"
        before = storage.tokens.access_token
        auth.context.token_expiry_time = 1
        print("and again:", (await client.call_tool("notes")).content[0].text)
        assert storage.tokens.access_token != before, "the token was refreshed"


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
