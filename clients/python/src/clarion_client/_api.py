"""Every public method of the API. Generated from the schema by scripts/gen_client.py: do not edit."""

from clarion_client._calls import Call

GET_ACTIVITY = Call("/clarion.notification.v1.ActivityService/GetActivity", "GET", "/v1/activity", idempotent=True)
LIST_PROBLEMS = Call("/clarion.notification.v1.ActivityService/ListProblems", "GET", "/v1/problems", idempotent=True)
LIST_QUEUES = Call("/clarion.notification.v1.ActivityService/ListQueues", "GET", "/v1/queues", idempotent=True)
LIST_CHANGES = Call("/clarion.notification.v1.ChangeService/ListChanges", "GET", "/v1/changes", idempotent=True)
WATCH_CHANGES = Call("/clarion.notification.v1.ChangeService/WatchChanges", "GET", "/v1/changes:watch", idempotent=True, streams=True)
LIST_DEAD_LETTERS = Call("/clarion.notification.v1.DeadLetterService/ListDeadLetters", "GET", "/v1/dead-letters", idempotent=True)
GET_DEAD_LETTER = Call(
    "/clarion.notification.v1.DeadLetterService/GetDeadLetter",
    "GET",
    "/v1/dead-letters/{notification_id}",
    answer="dead_letter",
    idempotent=True,
)
REQUEUE_DEAD_LETTER = Call(
    "/clarion.notification.v1.DeadLetterService/RequeueDeadLetter",
    "POST",
    "/v1/dead-letters/{notification_id}:requeue",
    body="*",
    answer="dead_letter",
    idempotent=True,
)
DISCARD_DEAD_LETTER = Call(
    "/clarion.notification.v1.DeadLetterService/DiscardDeadLetter",
    "POST",
    "/v1/dead-letters/{notification_id}:discard",
    body="*",
    answer="dead_letter",
    idempotent=True,
)
ANNOTATE_DEAD_LETTER = Call(
    "/clarion.notification.v1.DeadLetterService/AnnotateDeadLetter",
    "POST",
    "/v1/dead-letters/{notification_id}:annotate",
    body="*",
    answer="dead_letter",
)
REQUEUE_DEAD_LETTERS = Call(
    "/clarion.notification.v1.DeadLetterService/RequeueDeadLetters", "POST", "/v1/dead-letters:requeue", body="*", answer="job"
)
DISCARD_DEAD_LETTERS = Call(
    "/clarion.notification.v1.DeadLetterService/DiscardDeadLetters", "POST", "/v1/dead-letters:discard", body="*", answer="job"
)
GET_DEAD_LETTER_JOB = Call(
    "/clarion.notification.v1.DeadLetterService/GetDeadLetterJob", "GET", "/v1/dead-letter-jobs/{id}", answer="job", idempotent=True
)
LIST_DEAD_LETTER_JOBS = Call(
    "/clarion.notification.v1.DeadLetterService/ListDeadLetterJobs", "GET", "/v1/dead-letter-jobs", idempotent=True
)
CANCEL_DEAD_LETTER_JOB = Call(
    "/clarion.notification.v1.DeadLetterService/CancelDeadLetterJob",
    "POST",
    "/v1/dead-letter-jobs/{id}:cancel",
    body="*",
    answer="job",
    idempotent=True,
)
SEND_NOTIFICATION = Call("/clarion.notification.v1.NotificationService/SendNotification", "POST", "/v1/notifications", body="*")
BATCH_SEND_NOTIFICATIONS = Call(
    "/clarion.notification.v1.NotificationService/BatchSendNotifications", "POST", "/v1/notifications:batch", body="*"
)
BULK_SEND_NOTIFICATIONS = Call(
    "/clarion.notification.v1.NotificationService/BulkSendNotifications",
    "POST",
    "/v1/notifications:bulk",
    body="notifications",
    answer="results",
    streams=True,
    uploads=True,
)
EVALUATE_DELIVERY = Call(
    "/clarion.notification.v1.NotificationService/EvaluateDelivery", "POST", "/v1/notifications:evaluate", body="*", idempotent=True
)
GET_NOTIFICATION = Call(
    "/clarion.notification.v1.NotificationService/GetNotification", "GET", "/v1/notifications/{id}", answer="notification", idempotent=True
)
GET_CAPTURED_MESSAGE = Call(
    "/clarion.notification.v1.NotificationService/GetCapturedMessage",
    "GET",
    "/v1/notifications/{id}/captured-message",
    answer="captured_message",
    idempotent=True,
)
GET_SENT_CONTENT = Call(
    "/clarion.notification.v1.NotificationService/GetSentContent",
    "GET",
    "/v1/notifications/{id}/content",
    answer="sent_content",
    idempotent=True,
)
RESEND_NOTIFICATION = Call(
    "/clarion.notification.v1.NotificationService/ResendNotification", "POST", "/v1/notifications/{id}:resend", body="*"
)
LIST_NOTIFICATIONS = Call("/clarion.notification.v1.NotificationService/ListNotifications", "GET", "/v1/notifications", idempotent=True)
CANCEL_NOTIFICATION = Call(
    "/clarion.notification.v1.NotificationService/CancelNotification",
    "POST",
    "/v1/notifications/{id}:cancel",
    body="*",
    answer="notification",
    idempotent=True,
)
SKIP_WAIT = Call(
    "/clarion.notification.v1.NotificationService/SkipWait", "POST", "/v1/notifications/{id}:skipWait", body="*", answer="notification"
)
WATCH_NOTIFICATION = Call(
    "/clarion.notification.v1.NotificationService/WatchNotification", "GET", "/v1/notifications/{id}:watch", idempotent=True, streams=True
)
EXPORT_PERSONAL_DATA = Call(
    "/clarion.notification.v1.PersonalDataService/ExportPersonalData",
    "GET",
    "/v1/users/{user_id}:exportPersonalData",
    idempotent=True,
    streams=True,
)
LIST_SAGAS = Call("/clarion.notification.v1.SagaService/ListSagas", "GET", "/v1/sagas", idempotent=True)
GET_SAGA = Call("/clarion.notification.v1.SagaService/GetSaga", "GET", "/v1/sagas/{id}", answer="saga", idempotent=True)
RESUME_SAGA = Call(
    "/clarion.notification.v1.SagaService/ResumeSaga", "POST", "/v1/sagas/{id}:resume", body="*", answer="saga", idempotent=True
)
LIST_BREAKERS = Call("/clarion.operations.v1.BreakerService/ListBreakers", "GET", "/v1/breakers", idempotent=True)
FORCE_BREAKER = Call(
    "/clarion.operations.v1.BreakerService/ForceBreaker", "POST", "/v1/breakers/{name}:force", body="*", answer="breaker", idempotent=True
)
CREATE_ATTACHMENT = Call(
    "/clarion.template.v1.AttachmentService/CreateAttachment", "POST", "/v1/attachments", body="*", answer="attachment", idempotent=True
)
START_CANARY = Call(
    "/clarion.template.v1.CanaryService/StartCanary",
    "POST",
    "/v1/templates/{name}/versions/{version}:startCanary",
    body="*",
    answer="canary",
    idempotent=True,
)
GET_CANARY = Call("/clarion.template.v1.CanaryService/GetCanary", "GET", "/v1/templates/{name}/canary", answer="canary", idempotent=True)
STOP_CANARY = Call(
    "/clarion.template.v1.CanaryService/StopCanary", "POST", "/v1/templates/{name}/canary:stop", body="*", answer="canary", idempotent=True
)
UPDATE_PARTIAL = Call(
    "/clarion.template.v1.PartialService/UpdatePartial", "PUT", "/v1/partials/{name}", body="*", answer="partial", idempotent=True
)
GET_PARTIAL = Call("/clarion.template.v1.PartialService/GetPartial", "GET", "/v1/partials/{name}", answer="partial", idempotent=True)
LIST_PARTIALS = Call("/clarion.template.v1.PartialService/ListPartials", "GET", "/v1/partials", idempotent=True)
DELETE_PARTIAL = Call("/clarion.template.v1.PartialService/DeletePartial", "DELETE", "/v1/partials/{name}", idempotent=True, removes=True)
REBUILD_TEMPLATES = Call("/clarion.template.v1.PartialService/RebuildTemplates", "POST", "/v1/partials/{name}:rebuild", body="*")
CREATE_SCHEDULED_PUBLICATION = Call(
    "/clarion.template.v1.ScheduledPublicationService/CreateScheduledPublication",
    "POST",
    "/v1/scheduled-publications",
    body="*",
    answer="scheduled_publication",
)
GET_SCHEDULED_PUBLICATION = Call(
    "/clarion.template.v1.ScheduledPublicationService/GetScheduledPublication",
    "GET",
    "/v1/scheduled-publications/{id}",
    answer="scheduled_publication",
    idempotent=True,
)
LIST_SCHEDULED_PUBLICATIONS = Call(
    "/clarion.template.v1.ScheduledPublicationService/ListScheduledPublications", "GET", "/v1/scheduled-publications", idempotent=True
)
CANCEL_SCHEDULED_PUBLICATION = Call(
    "/clarion.template.v1.ScheduledPublicationService/CancelScheduledPublication",
    "POST",
    "/v1/scheduled-publications/{id}:cancel",
    body="*",
    answer="scheduled_publication",
    idempotent=True,
)
UPDATE_SENDER = Call(
    "/clarion.template.v1.SenderService/UpdateSender", "PUT", "/v1/senders/{name}", body="sender", answer="sender", idempotent=True
)
GET_SENDER = Call("/clarion.template.v1.SenderService/GetSender", "GET", "/v1/senders/{name}", answer="sender", idempotent=True)
LIST_SENDERS = Call("/clarion.template.v1.SenderService/ListSenders", "GET", "/v1/senders", idempotent=True)
DELETE_SENDER = Call("/clarion.template.v1.SenderService/DeleteSender", "DELETE", "/v1/senders/{name}", idempotent=True, removes=True)
ADD_SENDER_DOMAIN = Call(
    "/clarion.template.v1.SenderService/AddSenderDomain", "PUT", "/v1/sender-domains/{domain}", answer="domain", idempotent=True
)
VERIFY_SENDER_DOMAIN = Call(
    "/clarion.template.v1.SenderService/VerifySenderDomain", "POST", "/v1/sender-domains/{domain}:verify", answer="domain", idempotent=True
)
ROTATE_SENDER_DOMAIN_KEY = Call(
    "/clarion.template.v1.SenderService/RotateSenderDomainKey",
    "POST",
    "/v1/sender-domains/{domain}:rotateKey",
    answer="domain",
    idempotent=True,
)
GET_SENDER_DOMAIN = Call(
    "/clarion.template.v1.SenderService/GetSenderDomain", "GET", "/v1/sender-domains/{domain}", answer="domain", idempotent=True
)
LIST_SENDER_DOMAINS = Call("/clarion.template.v1.SenderService/ListSenderDomains", "GET", "/v1/sender-domains", idempotent=True)
DELETE_SENDER_DOMAIN = Call(
    "/clarion.template.v1.SenderService/DeleteSenderDomain", "DELETE", "/v1/sender-domains/{domain}", idempotent=True, removes=True
)
CREATE_TEMPLATE = Call("/clarion.template.v1.TemplateService/CreateTemplate", "POST", "/v1/templates", body="*", answer="template")
GET_TEMPLATE = Call("/clarion.template.v1.TemplateService/GetTemplate", "GET", "/v1/templates/{name}", answer="template", idempotent=True)
LIST_TEMPLATES = Call("/clarion.template.v1.TemplateService/ListTemplates", "GET", "/v1/templates", idempotent=True)
UPDATE_TEMPLATE = Call(
    "/clarion.template.v1.TemplateService/UpdateTemplate",
    "PATCH",
    "/v1/templates/{name}",
    body="template",
    answer="template",
    idempotent=True,
)
DELETE_TEMPLATE = Call(
    "/clarion.template.v1.TemplateService/DeleteTemplate", "DELETE", "/v1/templates/{name}", idempotent=True, removes=True
)
ARCHIVE_TEMPLATE = Call(
    "/clarion.template.v1.TemplateService/ArchiveTemplate",
    "POST",
    "/v1/templates/{name}:archive",
    body="*",
    answer="template",
    idempotent=True,
)
RESTORE_TEMPLATE = Call(
    "/clarion.template.v1.TemplateService/RestoreTemplate",
    "POST",
    "/v1/templates/{name}:restore",
    body="*",
    answer="template",
    idempotent=True,
)
CREATE_VERSION = Call(
    "/clarion.template.v1.TemplateService/CreateVersion", "POST", "/v1/templates/{name}/versions", body="*", answer="version"
)
GET_VERSION = Call(
    "/clarion.template.v1.TemplateService/GetVersion", "GET", "/v1/templates/{name}/versions/{version}", answer="version", idempotent=True
)
LIST_VERSIONS = Call("/clarion.template.v1.TemplateService/ListVersions", "GET", "/v1/templates/{name}/versions", idempotent=True)
PUBLISH_VERSION = Call(
    "/clarion.template.v1.TemplateService/PublishVersion",
    "POST",
    "/v1/templates/{name}/versions/{version}:publish",
    body="*",
    answer="template",
    idempotent=True,
)
ARCHIVE_VERSION = Call(
    "/clarion.template.v1.TemplateService/ArchiveVersion",
    "POST",
    "/v1/templates/{name}/versions/{version}:archive",
    body="*",
    answer="version",
    idempotent=True,
)
RESTORE_VERSION = Call(
    "/clarion.template.v1.TemplateService/RestoreVersion",
    "POST",
    "/v1/templates/{name}/versions/{version}:restore",
    body="*",
    answer="version",
    idempotent=True,
)
LIST_PUBLICATIONS = Call(
    "/clarion.template.v1.TemplateService/ListPublications", "GET", "/v1/templates/{name}/publications", idempotent=True
)
LINT_CONTENTS = Call("/clarion.template.v1.TemplateService/LintContents", "POST", "/v1/templates:lint", body="*", idempotent=True)
GET_CATALOG = Call(
    "/clarion.template.v1.TemplateService/GetCatalog", "GET", "/v1/templates/{name}/versions/{version}/catalogs/{locale}", idempotent=True
)
PREVIEW_TEMPLATE = Call(
    "/clarion.template.v1.TemplateService/PreviewTemplate", "POST", "/v1/templates/{name}:preview", body="*", idempotent=True
)
REQUEST_PASSWORD_RESET = Call(
    "/clarion.user.v1.AccountService/RequestPasswordReset", "POST", "/v1/auth/request-password-reset", body="*", unkeyed=True
)
RESET_PASSWORD = Call("/clarion.user.v1.AccountService/ResetPassword", "POST", "/v1/auth/reset-password", body="*", unkeyed=True)
REQUEST_ADDRESS_VERIFICATION = Call(
    "/clarion.user.v1.AccountService/RequestAddressVerification", "POST", "/v1/users/{user_id}:requestAddressVerification", body="*"
)
VERIFY_ADDRESS = Call("/clarion.user.v1.AccountService/VerifyAddress", "POST", "/v1/auth/verify-address", body="*", unkeyed=True)
LIST_AUDIT_EVENTS = Call("/clarion.user.v1.AuditService/ListAuditEvents", "GET", "/v1/audit-events", idempotent=True)
LOGIN = Call("/clarion.user.v1.AuthService/Login", "POST", "/v1/auth/login", body="*", unkeyed=True)
REFRESH = Call("/clarion.user.v1.AuthService/Refresh", "POST", "/v1/auth/refresh", body="*", unkeyed=True)
LOGOUT = Call("/clarion.user.v1.AuthService/Logout", "POST", "/v1/auth/logout", body="*", idempotent=True, unkeyed=True)
CHANGE_PASSWORD = Call("/clarion.user.v1.AuthService/ChangePassword", "POST", "/v1/auth/change-password", body="*")
CHANGE_EMAIL = Call("/clarion.user.v1.AuthService/ChangeEmail", "POST", "/v1/auth/change-email", body="*")
GET_ME = Call("/clarion.user.v1.AuthService/GetMe", "GET", "/v1/me", answer="me", idempotent=True)
LIST_SESSIONS = Call("/clarion.user.v1.AuthService/ListSessions", "GET", "/v1/users/{user_id}/sessions", idempotent=True)
DELETE_SESSION = Call("/clarion.user.v1.AuthService/DeleteSession", "DELETE", "/v1/users/{user_id}/sessions/{id}", idempotent=True)
GET_JWKS = Call("/clarion.user.v1.AuthService/GetJwks", "GET", "/.well-known/jwks.json", idempotent=True, unkeyed=True)
ROTATE_SIGNING_KEY = Call("/clarion.user.v1.AuthService/RotateSigningKey", "POST", "/v1/auth/rotate-signing-key", body="*")
CREATE_API_KEY = Call("/clarion.user.v1.AuthService/CreateApiKey", "POST", "/v1/api-keys", body="*")
LIST_API_KEYS = Call("/clarion.user.v1.AuthService/ListApiKeys", "GET", "/v1/api-keys", idempotent=True)
DELETE_API_KEY = Call("/clarion.user.v1.AuthService/DeleteApiKey", "DELETE", "/v1/api-keys/{id}", idempotent=True, removes=True)
GET_DELIVERY_POLICY = Call(
    "/clarion.user.v1.PolicyService/GetDeliveryPolicy", "GET", "/v1/delivery-policy", answer="policy", idempotent=True
)
UPDATE_DELIVERY_POLICY = Call(
    "/clarion.user.v1.PolicyService/UpdateDeliveryPolicy", "PATCH", "/v1/delivery-policy", body="policy", answer="policy", idempotent=True
)
CREATE_CATEGORY = Call("/clarion.user.v1.PolicyService/CreateCategory", "POST", "/v1/categories", body="category", answer="category")
GET_CATEGORY = Call("/clarion.user.v1.PolicyService/GetCategory", "GET", "/v1/categories/{id}", answer="category", idempotent=True)
LIST_CATEGORIES = Call("/clarion.user.v1.PolicyService/ListCategories", "GET", "/v1/categories", idempotent=True)
UPDATE_CATEGORY = Call(
    "/clarion.user.v1.PolicyService/UpdateCategory", "PATCH", "/v1/categories/{id}", body="category", answer="category", idempotent=True
)
DELETE_CATEGORY = Call("/clarion.user.v1.PolicyService/DeleteCategory", "DELETE", "/v1/categories/{id}", idempotent=True, removes=True)
CREATE_PREFERENCE_LINK = Call(
    "/clarion.user.v1.PreferencePageService/CreatePreferenceLink",
    "POST",
    "/v1/users/{user_id}:createPreferenceLink",
    body="*",
    idempotent=True,
)
GET_BRAND = Call("/clarion.user.v1.PreferencePageService/GetBrand", "GET", "/v1/brand", answer="brand", idempotent=True)
UPDATE_BRAND = Call(
    "/clarion.user.v1.PreferencePageService/UpdateBrand", "PATCH", "/v1/brand", body="brand", answer="brand", idempotent=True
)
CREATE_PROJECT = Call("/clarion.user.v1.ProjectService/CreateProject", "POST", "/v1/projects", body="project", answer="project")
GET_PROJECT = Call("/clarion.user.v1.ProjectService/GetProject", "GET", "/v1/projects/{id}", answer="project", idempotent=True)
LIST_PROJECTS = Call("/clarion.user.v1.ProjectService/ListProjects", "GET", "/v1/projects", idempotent=True)
ARCHIVE_PROJECT = Call(
    "/clarion.user.v1.ProjectService/ArchiveProject", "POST", "/v1/projects/{id}:archive", answer="project", idempotent=True
)
DELETE_PROJECT = Call("/clarion.user.v1.ProjectService/DeleteProject", "DELETE", "/v1/projects/{id}", idempotent=True)
RESTORE_PROJECT = Call(
    "/clarion.user.v1.ProjectService/RestoreProject", "POST", "/v1/projects/{id}:restore", answer="project", idempotent=True
)
CREATE_ROLE = Call("/clarion.user.v1.RoleService/CreateRole", "POST", "/v1/roles", body="role", answer="role")
GET_ROLE = Call("/clarion.user.v1.RoleService/GetRole", "GET", "/v1/roles/{id}", answer="role", idempotent=True)
LIST_ROLES = Call("/clarion.user.v1.RoleService/ListRoles", "GET", "/v1/roles", idempotent=True)
UPDATE_ROLE = Call("/clarion.user.v1.RoleService/UpdateRole", "PATCH", "/v1/roles/{id}", body="role", answer="role", idempotent=True)
DELETE_ROLE = Call("/clarion.user.v1.RoleService/DeleteRole", "DELETE", "/v1/roles/{id}", idempotent=True, removes=True)
ASSIGN_ROLE = Call("/clarion.user.v1.RoleService/AssignRole", "POST", "/v1/users/{user_id}:assignRole", body="*", idempotent=True)
BEGIN_SECOND_FACTOR = Call("/clarion.user.v1.SecondFactorService/BeginSecondFactor", "POST", "/v1/auth/begin-second-factor", body="*")
CONFIRM_SECOND_FACTOR = Call("/clarion.user.v1.SecondFactorService/ConfirmSecondFactor", "POST", "/v1/auth/confirm-second-factor", body="*")
CREATE_RECOVERY_CODES = Call("/clarion.user.v1.SecondFactorService/CreateRecoveryCodes", "POST", "/v1/auth/create-recovery-codes", body="*")
GET_SECOND_FACTOR = Call(
    "/clarion.user.v1.SecondFactorService/GetSecondFactor",
    "GET",
    "/v1/users/{user_id}/second-factor",
    answer="second_factor",
    idempotent=True,
)
REMOVE_SECOND_FACTOR = Call(
    "/clarion.user.v1.SecondFactorService/RemoveSecondFactor", "POST", "/v1/users/{user_id}:removeSecondFactor", body="*"
)
LIST_ISSUERS = Call("/clarion.user.v1.SignInService/ListIssuers", "GET", "/v1/auth/issuers", idempotent=True, unkeyed=True)
BEGIN_SIGN_IN = Call("/clarion.user.v1.SignInService/BeginSignIn", "POST", "/v1/auth/begin-sign-in", body="*", unkeyed=True)
COMPLETE_SIGN_IN = Call("/clarion.user.v1.SignInService/CompleteSignIn", "POST", "/v1/auth/complete-sign-in", body="*", unkeyed=True)
CREATE_USER = Call("/clarion.user.v1.UserService/CreateUser", "POST", "/v1/users", body="*", answer="user")
GET_USER = Call("/clarion.user.v1.UserService/GetUser", "GET", "/v1/users/{id}", answer="user", idempotent=True)
LOOK_UP_USER = Call("/clarion.user.v1.UserService/LookUpUser", "POST", "/v1/users:lookUp", body="*", answer="user", idempotent=True)
LIST_USERS = Call("/clarion.user.v1.UserService/ListUsers", "GET", "/v1/users", idempotent=True)
UPDATE_USER = Call("/clarion.user.v1.UserService/UpdateUser", "PATCH", "/v1/users/{id}", body="user", answer="user", idempotent=True)
BATCH_UPSERT_USERS = Call("/clarion.user.v1.UserService/BatchUpsertUsers", "POST", "/v1/users:batch", body="*", idempotent=True)
DELETE_USER = Call("/clarion.user.v1.UserService/DeleteUser", "DELETE", "/v1/users/{id}", idempotent=True)
GET_PREFERENCES = Call(
    "/clarion.user.v1.UserService/GetPreferences", "GET", "/v1/users/{user_id}/preferences", answer="preferences", idempotent=True
)
UPDATE_PREFERENCES = Call(
    "/clarion.user.v1.UserService/UpdatePreferences",
    "PATCH",
    "/v1/users/{user_id}/preferences",
    body="*",
    answer="preferences",
    idempotent=True,
)
CREATE_DEVICE = Call(
    "/clarion.user.v1.UserService/CreateDevice", "POST", "/v1/users/{user_id}/devices", body="*", answer="device", idempotent=True
)
LIST_DEVICES = Call("/clarion.user.v1.UserService/ListDevices", "GET", "/v1/users/{user_id}/devices", idempotent=True)
DELETE_DEVICE = Call(
    "/clarion.user.v1.UserService/DeleteDevice", "DELETE", "/v1/users/{user_id}/devices/{id}", idempotent=True, removes=True
)
CREATE_ADDRESS = Call("/clarion.user.v1.UserService/CreateAddress", "POST", "/v1/users/{user_id}/addresses", body="*", answer="address")
LIST_ADDRESSES = Call("/clarion.user.v1.UserService/ListAddresses", "GET", "/v1/users/{user_id}/addresses", idempotent=True)
DELETE_ADDRESS = Call(
    "/clarion.user.v1.UserService/DeleteAddress", "DELETE", "/v1/users/{user_id}/addresses/{address}", idempotent=True, removes=True
)
CREATE_SUPPRESSION = Call(
    "/clarion.user.v1.UserService/CreateSuppression", "POST", "/v1/suppressions", body="*", answer="suppression", idempotent=True
)
LIST_SUPPRESSIONS = Call("/clarion.user.v1.UserService/ListSuppressions", "GET", "/v1/suppressions", idempotent=True)
DELETE_SUPPRESSION = Call(
    "/clarion.user.v1.UserService/DeleteSuppression", "DELETE", "/v1/suppressions/{address}", idempotent=True, removes=True
)
CREATE_WEBHOOK_ENDPOINT = Call(
    "/clarion.webhook.v1.WebhookService/CreateWebhookEndpoint", "POST", "/v1/webhook-endpoints", body="webhook_endpoint"
)
GET_WEBHOOK_ENDPOINT = Call(
    "/clarion.webhook.v1.WebhookService/GetWebhookEndpoint", "GET", "/v1/webhook-endpoints/{id}", answer="webhook_endpoint", idempotent=True
)
LIST_WEBHOOK_ENDPOINTS = Call("/clarion.webhook.v1.WebhookService/ListWebhookEndpoints", "GET", "/v1/webhook-endpoints", idempotent=True)
UPDATE_WEBHOOK_ENDPOINT = Call(
    "/clarion.webhook.v1.WebhookService/UpdateWebhookEndpoint",
    "PATCH",
    "/v1/webhook-endpoints/{id}",
    body="webhook_endpoint",
    answer="webhook_endpoint",
    idempotent=True,
)
DELETE_WEBHOOK_ENDPOINT = Call(
    "/clarion.webhook.v1.WebhookService/DeleteWebhookEndpoint", "DELETE", "/v1/webhook-endpoints/{id}", idempotent=True, removes=True
)
ROTATE_WEBHOOK_SECRET = Call(
    "/clarion.webhook.v1.WebhookService/RotateWebhookSecret", "POST", "/v1/webhook-endpoints/{id}:rotateSecret", body="*"
)
TEST_WEBHOOK_ENDPOINT = Call(
    "/clarion.webhook.v1.WebhookService/TestWebhookEndpoint", "POST", "/v1/webhook-endpoints/{id}:test", body="*", answer="attempt"
)
LIST_WEBHOOK_DELIVERIES = Call(
    "/clarion.webhook.v1.WebhookService/ListWebhookDeliveries", "GET", "/v1/webhook-endpoints/{id}/deliveries", idempotent=True
)
REPLAY_WEBHOOK_DELIVERIES = Call(
    "/clarion.webhook.v1.WebhookService/ReplayWebhookDeliveries", "POST", "/v1/webhook-endpoints/{id}:replay", body="*"
)
