"""The gRPC services of this process: those that it serves itself, and those of `user_svc` and `template_svc` that it forwards or calls."""

from clarion.notification.v1 import (
    activity_service_pb2,
    change_service_pb2,
    dead_letter_service_pb2,
    notification_service_pb2,
    personal_data_service_pb2,
    saga_service_pb2,
)
from clarion.operations.v1 import breaker_service_pb2
from clarion.template.v1 import (
    attachment_service_pb2,
    canary_service_pb2,
    partial_service_pb2,
    render_service_pb2,
    scheduled_publication_service_pb2,
    sender_service_pb2,
    template_service_pb2,
)
from clarion.user.v1 import (
    account_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    erasure_service_pb2,
    policy_service_pb2,
    preference_page_service_pb2,
    project_service_pb2,
    recipient_service_pb2,
    role_service_pb2,
    second_factor_service_pb2,
    sign_in_service_pb2,
    user_service_pb2,
)
from clarion.webhook.v1 import webhook_service_pb2

NOTIFICATION_SERVICE = notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"]
WEBHOOK_SERVICE = webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"]
CHANGE_SERVICE = change_service_pb2.DESCRIPTOR.services_by_name["ChangeService"]
DEAD_LETTER_SERVICE = dead_letter_service_pb2.DESCRIPTOR.services_by_name["DeadLetterService"]
PERSONAL_DATA_SERVICE = personal_data_service_pb2.DESCRIPTOR.services_by_name["PersonalDataService"]
SAGA_SERVICE = saga_service_pb2.DESCRIPTOR.services_by_name["SagaService"]
ACTIVITY_SERVICE = activity_service_pb2.DESCRIPTOR.services_by_name["ActivityService"]
BREAKER_SERVICE = breaker_service_pb2.DESCRIPTOR.services_by_name["BreakerService"]
USER_SERVICE = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
POLICY_SERVICE = policy_service_pb2.DESCRIPTOR.services_by_name["PolicyService"]
PREFERENCE_PAGE_SERVICE = preference_page_service_pb2.DESCRIPTOR.services_by_name["PreferencePageService"]
PROJECT_SERVICE = project_service_pb2.DESCRIPTOR.services_by_name["ProjectService"]
ROLE_SERVICE = role_service_pb2.DESCRIPTOR.services_by_name["RoleService"]
AUDIT_SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"]
SIGN_IN_SERVICE = sign_in_service_pb2.DESCRIPTOR.services_by_name["SignInService"]
ACCOUNT_SERVICE = account_service_pb2.DESCRIPTOR.services_by_name["AccountService"]
SECOND_FACTOR_SERVICE = second_factor_service_pb2.DESCRIPTOR.services_by_name["SecondFactorService"]
AUTH_SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
ATTACHMENT_SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"]
SENDER_SERVICE = sender_service_pb2.DESCRIPTOR.services_by_name["SenderService"]
PARTIAL_SERVICE = partial_service_pb2.DESCRIPTOR.services_by_name["PartialService"]
CANARY_SERVICE = canary_service_pb2.DESCRIPTOR.services_by_name["CanaryService"]
SCHEDULE_SERVICE = scheduled_publication_service_pb2.DESCRIPTOR.services_by_name["ScheduledPublicationService"]
TEMPLATE_SERVICE = template_service_pb2.DESCRIPTOR.services_by_name["TemplateService"]
RECIPIENT_SERVICE = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]
ERASURE_SERVICE = erasure_service_pb2.DESCRIPTOR.services_by_name["ErasureService"]
RENDER_SERVICE = render_service_pb2.DESCRIPTOR.services_by_name["RenderService"]

OF_USERS = (
    USER_SERVICE, PROJECT_SERVICE, POLICY_SERVICE, PREFERENCE_PAGE_SERVICE, AUTH_SERVICE, SIGN_IN_SERVICE, AUDIT_SERVICE, ACCOUNT_SERVICE,
    SECOND_FACTOR_SERVICE, ROLE_SERVICE,
)  # fmt: skip
OF_TEMPLATES = (TEMPLATE_SERVICE, PARTIAL_SERVICE, SCHEDULE_SERVICE, CANARY_SERVICE, SENDER_SERVICE, ATTACHMENT_SERVICE)
DELETE_PROJECT = f"/{PROJECT_SERVICE.full_name}/DeleteProject"
DELETE_USER = f"/{USER_SERVICE.full_name}/DeleteUser"
