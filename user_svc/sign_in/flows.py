"""A sign-in between its two steps, sealed and kept by the browser that began it: nothing is stored for those who never come back."""

import base64
import binascii
import json
import secrets
from datetime import UTC, datetime, timedelta

from mesh import ids
from mesh.sealing import SealBroken, Sealer
from user_svc.sign_in.errors import SignInRefused
from user_svc.sign_in.models import Flow

SEALED_FOR = "clarion sign-ins v1"
# How long a person may take at the issuer.
FLOW_LIFE = timedelta(minutes=15)
_NAME = "sign-in"


class Flows:
    """Makes flows, and opens what comes back."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def begin(self, issuer: str, now: datetime) -> tuple[Flow, str]:
        """A new flow, and the text that its browser keeps. State, nonce and verifier have 256 random bits each."""
        flow = Flow(ids.new_id(), issuer, secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), now)
        content = json.dumps([*flow[:-1], now.timestamp()]).encode()
        return flow, base64.urlsafe_b64encode(self._sealer.seal(content, _NAME)).decode().rstrip("=")

    def open(self, text: str, now: datetime) -> Flow:
        """Raises SignInRefused for what is not ours or too old."""
        try:
            content = self._sealer.open(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), _NAME)
        except (SealBroken, binascii.Error, ValueError):
            raise SignInRefused("flow", "is not what beginning the sign-in answered") from None
        identifier, issuer, state, nonce, verifier, began = json.loads(content)
        flow = Flow(identifier, issuer, state, nonce, verifier, datetime.fromtimestamp(began, UTC))
        if now >= flow.create_time + FLOW_LIFE:
            raise SignInRefused("flow", f"was begun more than {FLOW_LIFE.seconds // 60} minutes ago")
        return flow
