"""Glewlwyd's configuration and database, and, once it runs, its clients and user over its own API."""

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

CONFIGURATION = """
port={port}
bind_address="127.0.0.1"
external_url="{url}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="ERROR"
cookie_domain="localhost"
cookie_secure=0
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
user_middleware_module_path="{modules}/user_middleware"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3" path = "{directory}/glewlwyd.db" }};
"""


def files(port, directory, root):
    modules = f"{root}/usr/lib/glewlwyd"
    os.makedirs(f"{modules}/user_middleware", exist_ok=True)
    with open(f"{directory}/glewlwyd.conf", "w", encoding="utf-8") as file:
        file.write(CONFIGURATION.format(port=port, url=f"http://localhost:{port}", modules=modules, directory=directory))
    with gzip.open(f"{root}/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz", "rt", encoding="utf-8") as script:
        with sqlite3.connect(f"{directory}/glewlwyd.db") as database:
            database.executescript(script.read())


class Api:
    """As its administrator sees it."""

    def __init__(self, port):
        self.url = f"http://localhost:{port}/api"
        # Python's own jar refuses a cookie whose domain has no dot.
        self.cookie = ""

    def send(self, method, path, body):
        headers = {"content-type": "application/json", "cookie": self.cookie}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.cookie = answer.headers.get("set-cookie", self.cookie).split(";")[0]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def sign_in(self, name, password):
        for _ in range(100):
            try:
                self.send("POST", "/auth/", {"username": name, "password": password})
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        raise SystemExit("it does not answer")


def clients(port, directory):
    key = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], stdout=subprocess.PIPE, check=True, text=True)
    public = subprocess.run(
        ["openssl", "ec", "-pubout"], input=key.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
        text=True)
    admin = Api(port)
    admin.sign_in("admin", "password")
    admin.send("POST", "/scope/", {"name": "notes:read", "display_name": "Notes", "password_required": False, "scheme": {}})
    admin.send("POST", "/mod/plugin/", {
        "module": "oidc", "name": "oidc", "display_name": "OpenID Connect", "parameters": {
            "iss": f"http://localhost:{port}", "jwt-type": "ecdsa", "jwt-key-size": "256", "key": key.stdout,
            "cert": public.stdout, "access-token-duration": 600, "refresh-token-duration": 1209600, "code-duration": 60,
            "refresh-token-rolling": True, "refresh-token-one-use": "always", "allow-non-oidc": True,
            "auth-type-code-enabled": True, "auth-type-token-enabled": False, "auth-type-id-token-enabled": True,
            "auth-type-none-enabled": False, "auth-type-password-enabled": False, "auth-type-client-enabled": True,
            "auth-type-refresh-enabled": True, "pkce-allowed": True, "pkce-required": False,
            "pkce-method-plain-allowed": False, "introspection-revocation-allowed": True,
            "introspection-revocation-allow-target-client": True, "subject-type": "public",
            "jwks-show": True, "scope": [], "additional-parameters": [], "claims": [],
        }})
    secret = {name: f"{name}-secret-0123456789-abcdef" for name in ("bench-job", "bench-api", "bench-web")}
    common = {"enabled": True, "confidential": True, "token_endpoint_auth_method": ["client_secret_basic"]}
    admin.send("POST", "/client/", {
        **common, "client_id": "bench-job", "name": "job", "client_secret": secret["bench-job"], "scope": ["notes:read"],
        "authorization_type": ["client_credentials"], "redirect_uri": []})
    admin.send("POST", "/client/", {
        **common, "client_id": "bench-web", "name": "web", "client_secret": secret["bench-web"], "scope": [],
        "authorization_type": ["code", "refresh_token"], "redirect_uri": ["https://app.example.com/callback"]})
    admin.send("POST", "/user/", {
        "username": "bench-user", "name": "User", "password": "a lamp for every harbour", "enabled": True,
        "scope": ["openid", "notes:read", "g_profile"]})

    user = Api(port)
    user.sign_in("bench-user", "a lamp for every harbour")
    user.send("PUT", "/auth/grant/bench-web", {"scope": "openid notes:read"})
    with open(f"{directory}/glewlwyd-target.json", "w", encoding="utf-8") as file:
        json.dump({
            "paths": {
                "token": "/api/oidc/token", "introspect": "/api/oidc/introspect", "authorize": "/api/oidc/auth",
                "jwks": "/api/oidc/jwks"},
            # A client may ask about its own tokens.
            "api": {"id": "bench-job", "secret": secret["bench-job"]},
            # Without g_continue it shows its sign-in page to those who are signed in, too.
            "web": {"scope": "openid notes:read", "also": "&g_continue"},
            "cookie": user.cookie,
        }, file)


if __name__ == "__main__":
    {"files": files, "clients": clients}[sys.argv[1]](*sys.argv[2:])
