"""URLs that name several hosts between commas, as libpq has them: `amqp://user:password@one:5672,two:5672/`."""


def with_each_host(url: str) -> tuple[str, ...]:
    """The URL once for each host that it names."""
    scheme, separator, rest = url.partition("://")
    end = next((place for place, letter in enumerate(rest) if letter in "/?#"), len(rest))
    account, at, hosts = rest[:end].rpartition("@")
    return tuple(f"{scheme}{separator}{account}{at}{host.strip()}{rest[end:]}" for host in hosts.split(","))
