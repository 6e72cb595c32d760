"""A small MCP server that Grantor protects: a list of notes for each user.

    python server.py --issuer http://localhost:8080 --port 8931

It verifies access tokens by itself (RFC 9068), so it needs to know the issuer and nothing else. The SDK answers a request
without a token with 401, and publishes at /.well-known/oauth-protected-resource/mcp whose tokens are good (RFC 9728).
"""

import argparse
from collections import defaultdict

import anyio.to_thread
import jwt
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

SCOPE = "notes"


class Verifier:
    """Takes the access tokens of one issuer that are for one resource."""

    def __init__(self, issuer: str, resource: str) -> None:
        self.issuer, self.resource = issuer, resource
        self.keys = jwt.PyJWKClient(f"{issuer}/oauth/jwks")

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            claims = await anyio.to_thread.run_sync(self.claims, token)
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=claims.get("scope", "").split(),
            expires_at=claims["exp"],
            resource=self.resource,
            subject=claims["sub"],
            claims=claims,
        )

    def claims(self, token: str) -> dict:
        # RFC 9068 §4: an ID token has the same issuer and the same signature.
        if jwt.get_unverified_header(token).get("typ", "").lower() != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        claims = jwt.decode(
            token,
            self.keys.get_signing_key_from_jwt(token),
            algorithms=["ES256"],
            issuer=self.issuer,
            # RFC 8707: a token for another resource of the same issuer is not for this one.
            audience=self.resource,
            options={"require": ["exp", "iat", "sub", "client_id"]},
        )
        if "cnf" in claims:
            raise jwt.InvalidTokenError("bound to a key, and the SDK checks no proofs: not for bearers")
        return claims


def server(issuer: str, resource: str) -> MCPServer:
    mcp = MCPServer(
        "Notes",
        log_level="WARNING",
        token_verifier=Verifier(issuer, resource),
        auth=AuthSettings(
            issuer_url=issuer,
            resource_server_url=resource,
            required_scopes=[SCOPE],
            validate_token_resource=True,
        ),
    )
    notes: dict[str, list[str]] = defaultdict(list)

    @mcp.tool()
    def add_note(text: str) -> str:
        """Keep a note."""
        own = notes[get_access_token().subject]
        own.append(text)
        return f"You have {len(own)} now."

    @mcp.tool()
    def list_notes() -> list[str]:
        """All your notes."""
        return notes[get_access_token().subject]

    return mcp


def main() -> None:
    parser = argparse.ArgumentParser(description="An MCP server with notes, protected by Grantor.")
    parser.add_argument("--issuer", default="http://localhost:8080", help="letter for letter as Grantor names itself")
    parser.add_argument("--port", type=int, default=8931)
    args = parser.parse_args()
    resource = f"http://localhost:{args.port}/mcp"
    server(args.issuer, resource).run("streamable-http", port=args.port)


if __name__ == "__main__":
    main()
