"""The migrations of each service are one chain: work that was done side by side leaves no fork behind, at which a database would stop."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("service", ["gateway", "template_svc", "user_svc"])
def test_the_migrations_of_a_service_are_one_chain(service: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / service / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1, "correct down_revision of the one that was landed last"
    chain = [migration.revision for migration in script.walk_revisions()]
    assert len(chain) == len(list((ROOT / service / "migrations" / "versions").glob("*.py")))
