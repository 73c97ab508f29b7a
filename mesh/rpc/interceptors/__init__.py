"""The two chains, outermost first. The order is written here and nowhere else; `server_chain` and `client_chain` only fill in arguments."""

from mesh.resilience.breaker import Breaker
from mesh.rpc.calls import ClientInterceptor, ServerInterceptor
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors.auth import AuthInterceptor, Door, IdentityInterceptor
from mesh.rpc.interceptors.breaker import BreakerInterceptor
from mesh.rpc.interceptors.deadline import ClientDeadlineInterceptor, DeadlineInterceptor
from mesh.rpc.interceptors.errors import ErrorInterceptor
from mesh.rpc.interceptors.logging import LoggingInterceptor
from mesh.rpc.interceptors.telemetry import ClientTelemetryInterceptor, TelemetryInterceptor
from mesh.rpc.interceptors.validation import ValidationInterceptor


def server_chain(authenticator: Authenticator, door: Door = Door.DIRECT) -> tuple[ServerInterceptor, ...]:
    """Around every call that comes in."""
    return (
        ErrorInterceptor(),  # first, so that nothing below can leak an exception's class or text
        TelemetryInterceptor(),  # before logging, so that a line carries its trace id; sees refusals of all that follows
        LoggingInterceptor(),  # before auth, so that refused calls are logged too
        AuthInterceptor(authenticator, door),  # before anything that costs: strangers get no work done
        DeadlineInterceptor(),  # bounds the handler; authentication has its own, shorter deadlines
        ValidationInterceptor(),  # last: only an admitted caller learns what is wrong with the request
    )


def client_chain(identity: ServiceIdentity, breaker: Breaker) -> tuple[ClientInterceptor, ...]:
    """Around every call that goes out. Retries lie below all of these, in the channel's service config: one logical call, one outcome."""
    return (
        ClientTelemetryInterceptor(),  # first: the span covers refusals by the breaker
        ClientDeadlineInterceptor(),  # before the breaker: a call without time left says nothing about the target
        BreakerInterceptor(breaker),  # rejects before a token is signed
        IdentityInterceptor(identity, breaker.name),  # last: fills in who we are
    )
