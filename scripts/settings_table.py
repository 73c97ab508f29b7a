"""Write the table of settings in docs/operations.md from the settings modules themselves."""

import sys
from collections.abc import Mapping
from importlib import import_module

from mesh.process.settings import Env
from scripts.gen import ROOT

SERVICES = ("gateway", "gateway.webhooks", "user_svc", "template_svc", "email_worker", "push_worker")
START = "<!-- settings: written by `make docs` -->\n"
END = "<!-- end of settings -->\n"
# What a variable is for, as an operator reads it. A variable without an entry fails the table.
MEANINGS = {
    "CLARION_ADMIN_EMAIL": "address of an administrator to create when there is none with it",
    "CLARION_ADMIN_PASSWORD": "that administrator's password",
    "CLARION_AMQP_URL": "RabbitMQ, `amqp://` or `amqps://`; several nodes between commas",
    "CLARION_AUDIT_RETENTION_DAYS": "days for which entries of the audit log are kept",
    "CLARION_BOOTSTRAP_API_KEY": "API key with all scopes to create when it is missing, `clk_live_…`",
    "CLARION_BOUNCE_DOMAIN": "domain to which undelivered mails come back, by its MX to the gateway; empty means the sender's address",
    "CLARION_BOUNCE_PORT": "SMTP port for mails that come back, where there is a domain for them",
    "CLARION_BOUNCE_SECRET": "secret of these addresses, the same for both; 32 characters at least",
    "CLARION_BREAKER_FAILURES": "failures in a row that open a breaker",
    "CLARION_BREAKER_OPEN_S": "seconds that a breaker stays open before it lets a probe through",
    "CLARION_CALLER_LIMIT": "sends per window and caller",
    "CLARION_CALLER_WINDOW_S": "that window, in seconds",
    "CLARION_CHANGE_RETENTION_DAYS": "days for which the feed of changes can be read back",
    "CLARION_DATABASE_CONNECT_TIMEOUT_S": "longest wait for a connection",
    "CLARION_DATABASE_POOL_SIZE": "connections per process",
    "CLARION_DATABASE_STATEMENT_TIMEOUT_S": "longest time of a statement",
    "CLARION_DATABASE_TRANSACTION_POOLING": "whether PgBouncer, or the like, stands before it in transaction mode",
    "CLARION_DATABASE_URL": "the service's own PostgreSQL database, `postgresql://`; several hosts between commas",
    "CLARION_DISPATCH_LEASE_S": "seconds after which the sweeper publishes what the accepting process has not",
    "CLARION_DRAIN_S": 'seconds between "not ready" and refusing calls',
    "CLARION_EMAIL_RETRIES": "waits before the next tries of an e-mail; those beyond 120 s are spent in the gateway's database",
    "CLARION_FCM_CA_FILE": "CA that signed the FCM server's certificate; empty means the public ones",
    "CLARION_FCM_CONCURRENCY": "calls to FCM in flight",
    "CLARION_FCM_CONNECT_TIMEOUT_S": "longest wait for a connection to FCM",
    "CLARION_FCM_CREDENTIALS_FILE": "service account of the Firebase project, JSON",
    "CLARION_FCM_ENDPOINT": "FCM, or a server that stands in for it",
    "CLARION_FCM_PROJECT_ID": "Firebase project; empty means the service account's",
    "CLARION_FCM_PRUNE_SHARE": "share of a template's pushes of ten minutes beyond which no device is removed",
    "CLARION_FCM_RATE_PER_S": "messages per second that all workers together may hand over; 0 means any",
    "CLARION_FCM_TIMEOUT_S": "longest wait for FCM's answer; FCM asks for 10 at least",
    "CLARION_GRACE_S": "seconds that a stop may take after the drain; calls in hand get 60 % of it",
    "CLARION_GRPC_PORT": "gRPC port, with health",
    "CLARION_GRPC_CONNECTIONS": "gRPC connections of all clients together",
    "CLARION_GRPC_STREAMS_PER_CONNECTION": "calls and streams that a gRPC client may have open on one connection",
    "CLARION_HELD_REQUESTS_MIB": "MiB of requests that a process holds at once, beyond which it answers 503 or UNAVAILABLE",
    "CLARION_HOST": "address to listen on",
    "CLARION_HTTP_BODY_S": "seconds in which a request's whole body must arrive",
    "CLARION_HTTP_CONNECTIONS": "REST connections; beyond them the one that has waited longest for a request is closed",
    "CLARION_HTTP_CONNECTIONS_PER_ADDRESS": "REST connections of one address (IPv6: of one /64); count your ingress as one address",
    "CLARION_HTTP_HEADER_COUNT": "headers of a request",
    "CLARION_HTTP_HEAD_BYTES": "bytes of a request line with its headers, also of trailers and chunk extensions",
    "CLARION_HTTP_HEAD_S": "seconds in which a request's whole head must arrive",
    "CLARION_HTTP_IDLE_S": "seconds after which an idle connection is closed; keep it longer than your load balancer's",
    "CLARION_MAILGUN_KEY": "Mailgun's webhook signing key; empty means that its webhooks are not taken",
    "CLARION_RECORD_OPENS": "whether it is recorded that a person opened a mail",
    "CLARION_SENDGRID_KEY": "verification key of SendGrid's signed event webhook; empty means that it is not taken",
    "CLARION_SES_TOPICS": "ARNs of the SNS topics to which Amazon SES publishes; empty means that none are taken",
    "CLARION_SMTP_EVENTS": "`sendgrid`, `ses` or `mailgun`: puts on each mail what that provider's events name the notification by",
    "CLARION_TRUSTED_PROXIES": "addresses and networks of the proxies whose `X-Forwarded-For` is believed; empty for none",
    "CLARION_LOGIN_ADDRESS_LIMIT": "wrong passwords that one client address may try in 100 s",
    "CLARION_ADMIN_SECOND_FACTOR": "administrators, and people with a role, who sign in by password have scopes only with a second factor",
    "CLARION_BOUNCE_SUPPRESSION_DAYS": "days after which an address that a mail came back from is tried again; 0: never",
    "CLARION_CONSOLE_URL": "public address of the console, to which mails about passwords and addresses lead; without it they hold a code",
    "CLARION_CONTENT_RETENTION_DAYS": "days after its end that a notification's variables, and so what it said, are kept; 0: as long as it",
    "CLARION_CORS_ORIGINS": "origins whose pages may call the API from a browser, separated by commas; `*` for every one; empty for none",
    "CLARION_HTTP_PORT": "REST port",
    "CLARION_HTTP_REUSE_PORT": "several gateways on one machine share the REST port",
    "CLARION_HTTP_WRITE_S": "seconds that a client may leave a response unread",
    "CLARION_STUCK_AFTER_S": "seconds without a sign of a published notification after which it is published again",
    "CLARION_BULK_IN_FLIGHT": "items of one bulk stream that are accepted at the same time; it reads on when one is answered",
    "CLARION_LANE_DEPTH": "envelopes in a normal lane's queue beyond which callers get their turn before they are published",
    "CLARION_LEDGER_TTL_S": "how long attempts and cancels are remembered; the same for all",
    "CLARION_LOG_FORMAT": "`json` or `text`",
    "CLARION_LOG_LEVEL": "`DEBUG`, `INFO`, `WARNING` or `ERROR`",
    "CLARION_MAX_CONCURRENT_RPCS": "calls in flight, beyond which RESOURCE_EXHAUSTED is answered",
    "CLARION_MAX_CONNECTION_AGE_S": "age at which a server closes a connection, so that new replicas get their share",
    "CLARION_METRICS_HOST": "address of the metrics; in a container, where only Prometheus reaches that port, `0.0.0.0`",
    "CLARION_METRICS_PROJECTS": "projects that the service level is labelled with, by commas; others are `other`; empty: no label",
    "CLARION_METRICS_PORT": "Prometheus metrics, HTTP",
    "CLARION_OIDC_FILE": "issuers of OpenID Connect at which people sign in, TOML (docs/security.md); empty means passwords only",
    "CLARION_OTLP_ENDPOINT": "collector for traces over OTLP/gRPC; empty means none",
    "CLARION_PREFETCH": "envelopes (up to 50 deliveries each) in hand",
    "CLARION_PUBLISH_TIMEOUT_S": "longest wait for a publisher confirm",
    "CLARION_PUSH_RETRIES": "the same for pushes",
    "CLARION_RECIPIENT_LIMIT": "sends per window, person and channel",
    "CLARION_RECIPIENT_WINDOW_S": "that window, in seconds",
    "CLARION_REDIS_TIMEOUT_S": "longest wait for Redis",
    "CLARION_REDIS_URL": "Redis or Valkey, `redis://`, `rediss://` or `unix://`; Sentinels with `redis+sentinel://`",
    "CLARION_REFLECTION": "gRPC reflection; it shows the whole schema to a client that reaches the port",
    "CLARION_COMPLETE_LOCALES_ONLY": "whether a version is published only when each of its locales is complete",
    "CLARION_LINT_ERRORS": "rules of docs/templates.md whose findings refuse a version, separated by commas",
    "CLARION_RENDER_LIMIT_S": "processor time that one rendering may take",
    "CLARION_RENDER_MEMORY_MB": "memory that one rendering may take, beyond what a render process needs itself",
    "CLARION_RENDER_PROCESSES": "render processes for sends; three more, which stand back behind them, serve new templates and previews",
    "CLARION_RETENTION_DAYS": "days that notifications are kept",
    "CLARION_SERVICE_SECRET": "development only, in place of the two keys: a secret from which every service's is derived",
    "CLARION_SERVICE_KEY": "the process's own private key, from `python -m mesh.rpc.service_keys`",
    "CLARION_SERVICE_PUBLIC_KEYS": "`service=key` of all, separated by commas; two of a service while it gets a new one",
    "CLARION_SEALING_SECRET": "secret for what the process keeps sealed, 32 characters or more; required with the two keys",
    "CLARION_SEALING_SECRET_OLD": "the one before, until no replica has it any more",
    "CLARION_DIRECT_CALLERS": "let programs call this internal port, past the gateway",
    "CLARION_DKIM_DOMAIN": "domain of the key; empty means that of `CLARION_SMTP_FROM`",
    "CLARION_DKIM_KEY_FILE": "PEM file with the RSA key that signs mails from `CLARION_SMTP_FROM` (DKIM); empty means unsigned",
    "CLARION_DKIM_SELECTOR": "selector under which DNS has the key's public half",
    "CLARION_DNS_SERVERS": "IP addresses of DNS servers, each with a port or without, separated by commas; empty means the machine's",
    "CLARION_TRUSTED_SENDER_DOMAINS": "domains of which every project may send mails without verifying them, separated by commas",
    "CLARION_SMTP_DKIM": "whether mails are signed here; `false` where the provider signs in the senders' domains",
    "CLARION_SMTP_CA_FILE": "CA that signed the SMTP server's certificate; empty means the public ones",
    "CLARION_SMTP_CONNECT_TIMEOUT_S": "longest wait for a connection",
    "CLARION_SMTP_DATA_TIMEOUT_S": "longest wait for the reply after a mail's last line",
    "CLARION_SMTP_FROM": "sender, `Name <address>` or an address",
    "CLARION_SMTP_HELO": "name to greet with",
    "CLARION_SMTP_HOST": "SMTP server",
    "CLARION_SMTP_IDLE_S": "age at which an idle connection is closed",
    "CLARION_SMTP_MAX_MESSAGES": "mails per connection",
    "CLARION_SMTP_MESSAGE_ID_DOMAIN": "domain in Message-ID; empty means the sender's",
    "CLARION_SMTP_PASSWORD": "password for AUTH",
    "CLARION_SMTP_POOL_SIZE": "connections to the SMTP server",
    "CLARION_SMTP_PORT": "its port: 587 for `starttls`, 465 for `tls`, 25 for `none`",
    "CLARION_SMTP_PROVIDERS": "names of several SMTP servers, such as `primary,backup`; see [providers](#providers-and-breakers)",
    "CLARION_SMTP_RAMP_S": "seconds in which a server that comes back regains its share",
    "CLARION_SMTP_RATE_PER_S": "mails per second that all workers together may hand over; 0 means any",
    "CLARION_SMTP_TIMEOUT_S": "longest wait for other replies",
    "CLARION_SMTP_TLS": "`starttls` (required), `tls` from the first byte, or `none` for development",
    "CLARION_SMTP_USER": "user for AUTH; empty means no AUTH",
    "CLARION_STALE_CACHE_S": "how long cached answers serve while a service is down",
    "CLARION_SWEEP_S": "pause between the sweeper's rounds",
    "CLARION_STREAMS": "open server streams of a process",
    "CLARION_STREAMS_PER_CALLER": "open server streams of one caller",
    "CLARION_STREAM_AGE_S": "age at which a stream is ended with UNAVAILABLE, so that its client connects again",
    "CLARION_STREAM_RECHECK_S": "seconds between two checks of an open stream's credential",
    "CLARION_TEMPLATE_CACHE_S": "how long a template is cached at accept",
    "CLARION_TEMPLATE_SVC_TARGET": "template_svc as a gRPC URI",
    "CLARION_TLS_CA_FILE": "CA of the other services' certificates; empty means plaintext calls. Read again every 10 s",
    "CLARION_TLS_CERT_FILE": "the server's certificate; empty means plaintext. Read again at each handshake",
    "CLARION_TLS_CLIENT_CA_FILE": "CA that callers' certificates must come from (mTLS)",
    "CLARION_TLS_CLIENT_CERT_FILE": "certificate to call other services with (mTLS). Read again every 10 s",
    "CLARION_TLS_CLIENT_KEY_FILE": "its key",
    "CLARION_TLS_KEY_FILE": "the server's key",
    "CLARION_TRACE_RATIO": "share of traces that are kept, 0 to 1",
    "CLARION_UNSUBSCRIBE_URL": "public `https://` address of the gateway's `/unsubscribe`; without it mails have no List-Unsubscribe",
    "CLARION_URGENT_PREFETCH": "urgent envelopes in hand",
    "CLARION_USER_CACHE_S": "how long a person is known to exist at accept",
    "CLARION_USER_SVC_TARGET": "user_svc as a gRPC URI",
    "CLARION_WEBHOOK_ALLOW": "networks beside public addresses that webhooks may be posted to, also by `http://`; for development",
    "CLARION_WEBHOOK_TIMEOUT_S": "longest wait for an endpoint's answer",
}
DOCUMENT = ROOT / "docs" / "operations.md"


def settings_of(service: str) -> Mapping[str, str]:
    """Map each variable that a service reads to its default, as people read it."""
    env = Env({})
    import_module(f"{service}.settings").Settings.from_env(env)
    return env.names


def table() -> str:
    """Return a Markdown table: variable, meaning, default, who reads it. Raises KeyError for a variable without a meaning."""
    defaults: dict[str, dict[str, list[str]]] = {}
    for service in SERVICES:
        for name, default in settings_of(service).items():
            defaults.setdefault(name, {}).setdefault(default, []).append(service)
    lines = ["| variable | meaning | default | read by |", "|---|---|---|---|"]
    for name, by_default in sorted(defaults.items()):
        readers = [service for services in by_default.values() for service in services]
        who = "all" if len(readers) == len(SERVICES) else ", ".join(f"`{reader}`" for reader in readers)
        lines.append(f"| `{name}` | {MEANINGS[name]} | {_defaults(by_default)} | {who} |")
    return "\n".join(lines) + "\n"


def _defaults(by_default: Mapping[str, list[str]]) -> str:
    shown = {default: _quoted(default) for default in by_default}
    if len(shown) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{shown[default]} ({', '.join(services)})" for default, services in by_default.items())


def _quoted(default: str) -> str:
    if not default:
        return "empty"
    return default.strip("()") if default.startswith("(") else f"`{default}`"


def main() -> int:
    """Rewrite the table in place."""
    text = DOCUMENT.read_text()
    before, rest = text.split(START)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{START}{table()}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
