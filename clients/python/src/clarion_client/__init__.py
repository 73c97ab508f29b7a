"""The Python client of Clarion.

from clarion_client import Clarion

clarion = Clarion("https://clarion.example.com", "clk_live_…")
sent = clarion.notifications.send(user_id=user.id, channel="email", template="welcome", variables={"name": "Ada"})
"""

from clarion_client import errors, models
from clarion_client._base import AsyncPager, Pager
from clarion_client.client import AsyncClarion, Clarion
from clarion_client.errors import ClarionError

__version__ = "0.1.0"

__all__ = ["AsyncClarion", "AsyncPager", "Clarion", "ClarionError", "Pager", "errors", "models"]
