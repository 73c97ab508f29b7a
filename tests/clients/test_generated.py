"""The client never lags behind the schema."""

import pytest

from scripts import client_schema, gen_client

# it runs ruff
pytestmark = pytest.mark.processes


def test_the_generated_client_is_fresh() -> None:
    assert gen_client.main.__doc__
    stale = [name for name, content in gen_client.generate().items() if (gen_client.PACKAGE / name).read_bytes() != content]
    assert stale == [], "run `make gen`"


def test_every_public_method_is_there_sync_and_async() -> None:
    from clarion_client import _api, aio_resources, resources

    public = {
        method.full_name
        for file in client_schema.public_files()
        for s in file.services_by_name.values()
        for method in client_schema.public_methods(s)
    }
    assert len([name for name in vars(_api) if name.isupper()]) == len(public)
    for _, cls, _ in client_schema.RESOURCES.values():
        ordinary, asynchronous = getattr(resources, cls), getattr(aio_resources, f"Async{cls}")
        names = {name for name in vars(ordinary) if not name.startswith("_")}
        assert names == {name for name in vars(asynchronous) if not name.startswith("_")} != set()
