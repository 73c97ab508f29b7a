"""An archived template is not accepted, whether it was published or not."""

import pytest

from gateway.accepting.errors import TemplateArchived
from gateway.accepting.models import TemplateSummary
from gateway.accepting.use_cases import check_published
from gateway.notifications.models import Channel
from mesh.context import FIRST_PROJECT


@pytest.mark.parametrize("version", [0, 3])
def test_an_archived_template_is_refused_by_field_with_the_way_out(version: int) -> None:
    template = TemplateSummary(FIRST_PROJECT, "welcome", Channel.EMAIL, "", False, 1, version, (), archived=True)
    assert not template.sendable
    with pytest.raises(TemplateArchived) as caught:
        check_published("welcome", template)
    assert [violation.field for violation in caught.value.violations] == ["template"]
    assert "/v1/templates/welcome:restore" in caught.value.message
