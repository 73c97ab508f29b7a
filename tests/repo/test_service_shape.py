"""Every service has the standard shape: the same file name means the same thing everywhere."""

from pathlib import Path

import pytest

from tests.repo.trees import parsed

ROOT = Path(__file__).resolve().parents[2]
RPC_SERVICES = ("gateway", "user_svc", "template_svc")
WORKERS = ("email_worker", "push_worker")
SERVICES = (*RPC_SERVICES, *WORKERS)

AT_THE_TOP = {"__init__.py", "__main__.py", "settings.py", "app.py"}
# These may stand at the top or, where one noun outgrows a file, in the noun's own folder.
OF_AN_RPC_SERVICE = {"servicer.py", "convert.py", "use_cases.py", "models.py", "repository.py", "errors.py"}
OF_A_WORKER = {"consumer.py", "provider.py", "use_cases.py", "models.py", "errors.py"}
NAMELESS = {"utils.py", "helpers.py", "common.py", "misc.py", "service.py", "base.py"}


def modules(package: str) -> list[Path]:
    """List a package's modules, migrations left out."""
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts and "__pycache__" not in path.parts]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_the_standard_way(service: str) -> None:
    assert {path.name for path in (ROOT / service).glob("*.py")} >= AT_THE_TOP


@pytest.mark.parametrize("service", RPC_SERVICES)
def test_an_rpc_service_has_every_standard_role(service: str) -> None:
    assert {path.name for path in modules(service)} >= OF_AN_RPC_SERVICE
    assert (ROOT / service / "tables.py").is_file()
    assert (ROOT / service / "migrations" / "env.py").is_file()
    assert list((ROOT / service / "migrations" / "versions").glob("*.py"))


@pytest.mark.parametrize("service", WORKERS)
def test_a_worker_has_every_standard_role(service: str) -> None:
    assert {path.name for path in modules(service)} >= OF_A_WORKER
    assert not (ROOT / service / "migrations").exists(), "a worker owns no database"


@pytest.mark.parametrize("service", SERVICES)
def test_a_folder_inside_a_service_is_a_noun_with_nothing_below_it(service: str) -> None:
    for path in modules(service):
        assert len(path.relative_to(ROOT / service).parts) <= 2, path


LIBRARIES = ("mesh", "transcoding", "naming", "peers", "delivery")


@pytest.mark.parametrize("package", [*SERVICES, *LIBRARIES])
def test_an_init_holds_a_docstring_only(package: str) -> None:
    """Code there runs on every import below it, unseen. The interceptors' package is the one exception: it is the chain."""
    for path in modules(package):
        if path.name == "__init__.py" and path.parent.name != "interceptors":
            assert len(parsed(path).body) == 1, path


@pytest.mark.parametrize("service", SERVICES)
def test_a_main_only_hands_over_to_the_runtime(service: str) -> None:
    assert len((ROOT / service / "__main__.py").read_text().splitlines()) <= 15


@pytest.mark.parametrize("package", [*SERVICES, *LIBRARIES, "devstack"])
def test_no_module_is_named_after_nothing(package: str) -> None:
    assert [path for path in modules(package) if path.name in NAMELESS] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_tests(service: str) -> None:
    assert list((ROOT / "tests" / service).rglob("test_*.py"))
