"""An issuer of OpenID Connect on a port of its own that keeps the rules, or breaks the one that a test names.

The rules are kept by a real one in tests/console/test_sign_in_at_issuer.py; here is what a real one never does.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm

CLIENT, SECRET = "clarion", "s:e/cret of the client"


@dataclass
class Issuer:
    """What it says and does; tests change it. `claims` of None are left out of the ID token."""

    port: int = 0
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    kid: str = "first"
    claims: dict[str, Any] = field(default_factory=lambda: {"name": "Ada Lovelace", "groups": ["staff"]})
    user_info: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    of_key: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200
    algorithm: str = "ES256"
    hangs: bool = False
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def authorize(self, authorization_url: str) -> dict[str, str]:
        """What the browser brings back after the person has agreed."""
        asked = dict(parse_qsl(urlsplit(authorization_url).query))
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"state": asked["state"], "code": code}

    def jwk(self) -> dict[str, Any]:
        public: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        return {**public, "kid": self.kid, "use": "sig", **self.of_key}

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        usual = {"iss": self.url, "aud": CLIENT, "sub": "ada", "nonce": asked["nonce"], "iat": now, "exp": now + 300}
        claims = {name: value for name, value in {**usual, **self.claims}.items() if value is not None}
        key: Any = {"none": None, "HS256": "a secret that both sides would have to know"}.get(self.algorithm, self.key)
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.kid})


@asynccontextmanager
async def open_issuer() -> AsyncIterator[Issuer]:
    """Serves until the end of the block."""
    issuer = Issuer()

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        issuer.asked.append(request.path)
        if issuer.hangs:
            await asyncio.Event().wait()
        answer: web.StreamResponse = await handler(request)
        return answer

    async def describe(_: web.Request) -> web.Response:
        paths = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys", "userinfo_endpoint": "/me"}
        return web.json_response({"issuer": issuer.url, **{name: issuer.url + path for name, path in paths.items()}, **issuer.described})

    async def token(request: web.Request) -> web.Response:
        if issuer.token_status != 200:
            return web.json_response({"error": "server_error"}, status=issuer.token_status)
        if request.headers.get("authorization") != "Basic " + base64.b64encode(b"clarion:s%3Ae%2Fcret%20of%20the%20client").decode():
            return web.json_response({"error": "invalid_client"}, status=401)
        form = await request.post()
        asked = issuer.codes.pop(str(form["code"]), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest()).decode().rstrip("=")
        fits = asked is not None and (asked["code_challenge"], asked["redirect_uri"]) == (challenge, form["redirect_uri"])
        if asked is None or not fits or asked["code_challenge_method"] != "S256":
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"id_token": issuer.id_token(asked), "access_token": "for the user info", "token_type": "Bearer"})

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [issuer.jwk()]})

    async def me(request: web.Request) -> web.Response:
        assert request.headers["authorization"] == "Bearer for the user info"
        return web.json_response(issuer.user_info)

    app = web.Application(middlewares=[note])
    app.add_routes([web.get("/.well-known/openid-configuration", describe), web.post("/token", token), web.get("/keys", keys)])
    app.add_routes([web.get("/me", me)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.port = runner.addresses[0][1]
    try:
        yield issuer
    finally:
        await runner.cleanup()
