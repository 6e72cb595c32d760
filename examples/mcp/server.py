"""A small MCP server whose tools only open to tokens that Grantor issued for it.

    server.py URL ISSUER        as in  server.py http://localhost:9000/mcp http://localhost:8080
"""

import asyncio
import sys
from urllib.parse import urlparse

import jwt
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

SCOPE = "notes:read"


class Grantor(TokenVerifier):
    """Verifies access tokens as RFC 9068 §4 says."""

    def __init__(self, url: str, issuer: str) -> None:
        self.url, self.issuer = url, issuer
        self.keys = jwt.PyJWKClient(f"{issuer}/oauth/jwks")

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            return await asyncio.to_thread(self.verify, token)
        except jwt.PyJWTError:
            return None

    def verify(self, token: str) -> AccessToken:
        # An ID token is signed by the same server; its type says that it opens nothing.
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        key = self.keys.get_signing_key_from_jwt(token)
        required = {"require": ["exp", "iss", "aud", "sub", "client_id"]}
        claims = jwt.decode(token, key, ["ES256"], required, audience=self.url, issuer=self.issuer)
        scopes = claims.get("scope", "").split()
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=scopes,
            expires_at=claims["exp"],
            resource=self.url,
            subject=claims["sub"],
            claims=claims,
        )


def main(url: str, issuer: str) -> None:
    auth = AuthSettings(
        issuer_url=issuer, resource_server_url=url, required_scopes=[SCOPE], validate_token_resource=True
    )
    server = MCPServer("Notes", token_verifier=Grantor(url, issuer), auth=auth)

    @server.tool()
    def notes() -> str:
        """The notes of whoever asks."""
        token = get_access_token()
        assert token is not None, "nobody comes here without a token"
        return f"the notes of {token.subject}"

    address = urlparse(url)
    server.run("streamable-http", host=address.hostname, port=address.port, streamable_http_path=address.path)


if __name__ == "__main__":
    main(*sys.argv[1:])
