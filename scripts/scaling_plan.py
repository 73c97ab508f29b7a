"""Write the tables of docs/scaling.md: what one replica carries, and a plan for three loads, from figures of `make bench`."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from scripts.gen import ROOT

PAGE = ROOT / "docs" / "scaling.md"
_START, _END = "<!-- {}: written by `make docs` -->", "<!-- end of {} -->"

# Milliseconds of CPU a notification, `cpu_ms_by_process` of the run that the page describes.
CPU_MS = {
    "gateway": 1.217,
    "email_worker": 0.903,
    "user_svc": 0.242,
    "template_svc": 0.242,
    "postgresql": 0.452,
    "rabbitmq": 0.38,
    "valkey": 0.131,
}
# Bytes a notification that was sent at the first try, with its timeline; of the feed of changes; of write-ahead log.
ROW_BYTES, CHANGE_BYTES, WAL_BYTES = 1_500, 480, 3_740
CHANGE_DAYS = 7

BUSY = 0.6  # share of a core, so that a lost replica's load finds room
PEAK = 5  # times the day's average
SMTP_S, POOL = 0.1, 16
REPLICAS = 3  # at least, one in each zone
LOADS = (1_000_000, 10_000_000, 100_000_000)


def carried_per_s(part: str, pool: int = POOL) -> float:
    """Notifications a second that one replica (or one core of a store) carries."""
    by_cpu = BUSY * 1000 / CPU_MS[part]
    return min(by_cpu, pool / SMTP_S) if part == "email_worker" else by_cpu


def peak_per_s(a_day: int) -> float:
    """The busiest moment of a day with so many."""
    return a_day / 86_400 * PEAK


def replicas(part: str, a_day: int, pool: int = POOL) -> int:
    """How many of a process a load needs."""
    return max(REPLICAS, ceil(peak_per_s(a_day) / carried_per_s(part, pool)))


def _storage(a_day: int, days: int) -> str:
    gigabytes = (a_day * days * ROW_BYTES + a_day * CHANGE_DAYS * CHANGE_BYTES) / 1e9
    return f"{gigabytes:,.0f} GB" if gigabytes < 1000 else f"{gigabytes / 1000:,.1f} TB"


def _carried() -> Iterable[Sequence[str]]:
    for part, cpu_ms in CPU_MS.items():
        what = {"postgresql": "a core", "rabbitmq": "a core", "valkey": "its core"}.get(part, "a replica")
        limit = f"{POOL} connections, {SMTP_S * 1000:.0f} ms a mail" if carried_per_s(part) < BUSY * 1000 / cpu_ms else "CPU"
        yield part, f"{cpu_ms:.2f}", what, f"{carried_per_s(part):,.0f}", limit


def _plan() -> Iterable[Sequence[str]]:
    def row(what: str, values: Iterable[str]) -> Sequence[str]:
        return what, *values

    processes = ("gateway", "user_svc", "template_svc", "email_worker")
    yield row("peak, notifications a second", (f"{peak_per_s(load):,.0f}" for load in LOADS))
    for part in processes:
        yield row(f"`{part}`, replicas", (str(replicas(part, load)) for load in LOADS))
    yield row("`email_worker` with `CLARION_SMTP_POOL_SIZE=64`", (str(replicas("email_worker", load, 64)) for load in LOADS))
    used = sum(CPU_MS[part] for part in processes) / 1000
    yield row("all processes, cores used at peak", (f"{peak_per_s(load) * used:.1f}" for load in LOADS))
    for part, name in (("postgresql", "PostgreSQL"), ("rabbitmq", "RabbitMQ"), ("valkey", "Redis")):
        yield row(f"{name}, cores at peak", (f"{max(0.1, peak_per_s(load) / carried_per_s(part)):.1f}" for load in LOADS))
    yield row("PostgreSQL, storage with 30 days kept", (_storage(load, 30) for load in LOADS))
    yield row("PostgreSQL, storage with 180 days kept (the default)", (_storage(load, 180) for load in LOADS))
    yield row("write-ahead log a day", (f"{load * WAL_BYTES / 1e9:,.0f} GB" for load in LOADS))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables() -> Mapping[str, str]:
    """By the name of their place on the page."""
    return {
        "carried": _table(("part", "CPU ms a notification", "of", "carries a second", "limited by"), _carried()),
        "plan": _table(("", *(f"{load // 1_000_000} million a day" for load in LOADS)), _plan()),
    }


def filled(page: str) -> str:
    """The page with its tables as they should be."""
    for name, table in tables().items():
        start, end = _START.format(name), _END.format(name)
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n{table}\n{end}{rest.partition(end)[2]}"
    return page


def main() -> None:
    """Write them."""
    PAGE.write_text(filled(PAGE.read_text()))


if __name__ == "__main__":
    main()
