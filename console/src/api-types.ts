// Written by scripts/gen_console.py from the OpenAPI document; do not edit.

export interface AddresseeInput {
  email?: string;
  name?: string | null;
  locale?: string | null;
  timezone?: string | null;
}

export interface ApiKey {
  id?: string;
  name?: string;
  prefix?: string;
  scopes?: Array<string>;
  create_time?: string;
  expire_time?: string;
  created_by?: string;
  revoke_time?: string;
  project?: string;
  test?: boolean;
}

export interface BatchSendNotificationsRequest {
  requests?: Array<SendNotificationRequestElement>;
}

export interface BatchSendNotificationsResponse {
  results?: Array<BatchSendResult>;
  accepted_count?: number;
}

export interface BatchSendResult {
  accepted?: SendNotificationResponse;
  error?: Status;
}

export interface BatchUpsertUsersRequest {
  users?: Array<UserInputElement>;
}

export interface BatchUpsertUsersResponse {
  results?: Array<UpsertResult>;
  written_count?: number;
}

export interface Breaker {
  name?: string;
  state?: BreakerState;
  failures?: number;
  retry_time?: string;
  change_time?: string;
  force?: BreakerForce;
  force_time?: string;
  force_expire_time?: string;
  forced_by?: string;
  note?: string;
  seen_time?: string;
}

export type BreakerForce = "open" | "closed" | "auto";

export type BreakerState = "closed" | "open" | "half_open";

export interface CapturedMessage {
  notification_id?: string;
  channel?: Channel;
  email?: string;
  device_ids?: Array<string>;
  locale?: string;
  content?: Content;
  attempt?: number;
  answer?: string;
  time?: string;
}

export interface Category {
  id?: string;
  texts?: Record<string, CategoryText>;
  mandatory?: boolean;
  limit?: FrequencyLimit;
  create_time?: string;
  update_time?: string;
  etag?: string;
}

export interface CategoryInput {
  id?: string | null;
  texts?: Record<string, CategoryTextInput> | null;
  mandatory?: boolean | null;
  limit?: FrequencyLimitInput | null;
  create_time?: string | null;
  update_time?: string | null;
  etag?: string | null;
}

export interface CategoryText {
  name?: string;
  description?: string;
}

export interface CategoryTextInput {
  name?: string;
  description?: string | null;
}

export interface Change {
  cursor?: string;
  notification_id?: string;
  status?: NotificationStatus;
  reason?: string;
  attempt?: number;
  run?: number;
  time?: string;
  user_id?: string;
  channel?: Channel;
  template?: string;
  category?: string;
  metadata?: Record<string, string>;
  correlation_id?: string;
  test?: boolean;
}

export interface ChangeEmailRequest {
  current_password?: string;
  new_email?: string;
}

export interface ChangeEmailResponse {
}

export interface ChangePasswordRequest {
  current_password?: string;
  new_password?: string;
}

export interface ChangePasswordResponse {
  access_token?: string;
  token_type?: string;
  expires_in?: number;
  refresh_token?: string;
  user_id?: string;
}

export type Channel = "email" | "push";

export type Choice = "allow" | "deny" | "inherit";

export interface Content {
  subject?: string;
  html?: string;
  text?: string;
  title?: string;
  body?: string;
  data?: Record<string, string>;
  image?: string;
  android?: Record<string, unknown>;
  apns?: Record<string, unknown>;
  webpush?: Record<string, unknown>;
}

export interface ContentInput {
  subject?: string | null;
  html?: string | null;
  text?: string | null;
  title?: string | null;
  body?: string | null;
  data?: Record<string, string> | null;
  image?: string | null;
  android?: Record<string, FreeJson> | null;
  apns?: Record<string, FreeJson> | null;
  webpush?: Record<string, FreeJson> | null;
}

export interface CreateApiKeyRequest {
  name?: string;
  scopes?: Array<string>;
  expire_time?: string | null;
  test?: boolean | null;
  project?: string | null;
}

export interface CreateApiKeyResponse {
  api_key?: ApiKey;
  secret?: string;
}

export interface CreateWebhookEndpointResponse {
  webhook_endpoint?: WebhookEndpoint;
  secret?: string;
}

export interface DeadLetter {
  notification_id?: string;
  user_id?: string;
  channel?: Channel;
  template?: string;
  state?: DeadLetterState;
  reason?: string;
  detail?: string;
  attempts?: number;
  create_time?: string;
  resolve_time?: string;
  resolved_by?: string;
  note?: string;
  correlation_id?: string;
  cause?: DeadLetterCause;
  run?: number;
  audit?: Array<DeadLetterAudit>;
  preview?: DeadLetterPreview;
}

export type DeadLetterAction = "requeued" | "discarded" | "noted" | "viewed";

export interface DeadLetterAudit {
  time?: string;
  action?: DeadLetterAction;
  actor_kind?: string;
  actor_id?: string;
  note?: string;
  run?: number;
  job_id?: string;
  changed?: Array<string>;
  former_user_id?: string;
  redirected_to?: string;
}

export type DeadLetterCause = "provider_permanent" | "provider_transient" | "template" | "recipient" | "bus" | "unknown_outcome" | "internal" | "other";

export interface DeadLetterFilter {
  cause?: DeadLetterCause;
  reason?: string;
  channel?: Channel;
  template?: string;
  created_after?: string;
  created_before?: string;
}

export interface DeadLetterFilterInput {
  cause?: DeadLetterCause | "DEAD_LETTER_CAUSE_UNSPECIFIED" | "DEAD_LETTER_CAUSE_PROVIDER_PERMANENT" | "DEAD_LETTER_CAUSE_PROVIDER_TRANSIENT" | "DEAD_LETTER_CAUSE_TEMPLATE" | "DEAD_LETTER_CAUSE_RECIPIENT" | "DEAD_LETTER_CAUSE_BUS" | "DEAD_LETTER_CAUSE_UNKNOWN_OUTCOME" | "DEAD_LETTER_CAUSE_INTERNAL" | "DEAD_LETTER_CAUSE_OTHER" | "unspecified" | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | null;
  reason?: string | null;
  channel?: Channel | "CHANNEL_UNSPECIFIED" | "CHANNEL_EMAIL" | "CHANNEL_PUSH" | "unspecified" | 0 | 1 | 2 | null;
  template?: string | null;
  created_after?: string | null;
  created_before?: string | null;
}

export interface DeadLetterJob {
  id?: string;
  action?: DeadLetterAction;
  state?: DeadLetterJobState;
  filter?: DeadLetterFilter;
  rate_per_s?: number;
  note?: string;
  created_by?: string;
  create_time?: string;
  finish_time?: string;
  total_count?: number;
  done_count?: number;
  skipped_count?: number;
  skipped_reasons?: Record<string, number>;
}

export type DeadLetterJobState = "running" | "done" | "cancelled";

export interface DeadLetterPreview {
  redacted?: boolean;
  recipient?: string;
  recipient_edited?: boolean;
  devices?: number;
  decision?: string;
  rule?: string;
  locale?: string;
  content?: Content;
  variables?: Record<string, unknown>;
  problem?: string;
}

export type DeadLetterState = "open" | "requeued" | "discarded";

export type DeadLetterView = "basic" | "redacted" | "full";

export interface DeleteApiKeyResponse {
}

export interface DeleteCategoryResponse {
}

export interface DeleteDeviceResponse {
}

export interface DeleteSuppressionResponse {
}

export interface DeleteTemplateResponse {
}

export interface DeleteUserResponse {
  saga_id?: string;
  completed?: boolean;
}

export interface DeleteWebhookEndpointResponse {
}

export type DeliveryDecision = "send" | "skip" | "defer";

export interface DeliveryPolicy {
  rules?: Array<PreferenceRule>;
  quiet_hours?: QuietHours;
  update_time?: string;
  etag?: string;
}

export interface DeliveryPolicyInput {
  rules?: Array<PreferenceRuleInput> | null;
  quiet_hours?: QuietHoursInput | null;
  update_time?: string | null;
  etag?: string | null;
}

export interface Device {
  id?: string;
  user_id?: string;
  token?: string;
  platform?: Platform;
  token_suffix?: string;
  create_time?: string;
  remove_time?: string;
  remove_reason?: string;
}

export interface DeviceResult {
  device_id?: string;
  accepted?: boolean;
  reason?: string;
}

export interface DiscardDeadLettersRequest {
  filter?: DeadLetterFilterInput | null;
  rate_per_s?: number | string | null;
  max?: number | string | null;
  note?: string | null;
  request_id?: string | null;
}

export interface EvaluateDeliveryRequest {
  user_id?: string;
  template?: string;
  priority?: Priority | "PRIORITY_UNSPECIFIED" | "PRIORITY_NORMAL" | "PRIORITY_HIGH" | "unspecified" | 0 | 1 | 2 | null;
  category?: string | null;
  send_at?: string | null;
}

export interface EvaluateDeliveryResponse {
  decision?: DeliveryDecision;
  rule?: string;
  defer_until?: string;
  channel?: Channel;
  category?: string;
}

export type FreeJson = string | boolean | null | number | Array<unknown> | Record<string, unknown>;

export interface FrequencyLimit {
  count?: number;
  window?: string;
}

export interface FrequencyLimitInput {
  count?: number | string;
  window?: string;
}

export interface GetJwksResponse {
  keys?: Array<Jwk>;
}

export interface Jwk {
  kty?: string;
  crv?: string;
  kid?: string;
  use?: string;
  alg?: string;
  x?: string;
}

export interface ListApiKeysResponse {
  api_keys?: Array<ApiKey>;
  next_page_token?: string;
}

export interface ListBreakersResponse {
  breakers?: Array<Breaker>;
}

export interface ListCategoriesResponse {
  categories?: Array<Category>;
  next_page_token?: string;
}

export interface ListChangesResponse {
  changes?: Array<Change>;
  next_cursor?: string;
  has_more?: boolean;
}

export interface ListDeadLetterJobsResponse {
  jobs?: Array<DeadLetterJob>;
  next_page_token?: string;
}

export interface ListDeadLettersResponse {
  dead_letters?: Array<DeadLetter>;
  next_page_token?: string;
}

export interface ListDevicesResponse {
  devices?: Array<Device>;
}

export interface ListNotificationsResponse {
  notifications?: Array<Notification>;
  next_page_token?: string;
}

export interface ListProjectsResponse {
  projects?: Array<Project>;
  next_page_token?: string;
}

export interface ListSagasResponse {
  sagas?: Array<Saga>;
  next_page_token?: string;
}

export interface ListSuppressionsResponse {
  suppressions?: Array<Suppression>;
  next_page_token?: string;
}

export interface ListTemplatesResponse {
  templates?: Array<Template>;
  next_page_token?: string;
}

export interface ListUsersResponse {
  users?: Array<User>;
  next_page_token?: string;
}

export interface ListVersionsResponse {
  versions?: Array<TemplateVersion>;
  next_page_token?: string;
}

export interface ListWebhookDeliveriesResponse {
  deliveries?: Array<WebhookDelivery>;
  next_page_token?: string;
}

export interface ListWebhookEndpointsResponse {
  webhook_endpoints?: Array<WebhookEndpoint>;
  next_page_token?: string;
}

export interface LoginRequest {
  email?: string;
  password?: string;
  project?: string | null;
}

export interface LoginResponse {
  access_token?: string;
  token_type?: string;
  expires_in?: number;
  refresh_token?: string;
  user_id?: string;
}

export interface LogoutRequest {
  refresh_token?: string;
}

export interface LogoutResponse {
}

export interface Notification {
  id?: string;
  user_id?: string;
  channel?: Channel;
  template?: string;
  template_version?: number;
  locale?: string;
  priority?: Priority;
  category?: string;
  status?: NotificationStatus;
  reason?: string;
  attempts?: number;
  metadata?: Record<string, string>;
  create_time?: string;
  update_time?: string;
  send_at?: string;
  expires_at?: string;
  correlation_id?: string;
  timeline?: Array<TimelineEntry>;
  test?: boolean;
}

export type NotificationStatus = "scheduled" | "pending" | "queued" | "sending" | "retrying" | "sent" | "failed" | "skipped" | "cancelled" | "expired";

export type OnUnknown = "resend" | "hold";

export type Platform = "android" | "ios" | "web";

export interface PreferenceRule {
  channel?: Channel;
  category?: string;
  choice?: Choice;
  template?: string;
}

export interface PreferenceRuleInput {
  channel?: Channel | "CHANNEL_UNSPECIFIED" | "CHANNEL_EMAIL" | "CHANNEL_PUSH" | "unspecified" | 0 | 1 | 2 | null;
  category?: string | null;
  choice?: Choice | "CHOICE_ALLOW" | "CHOICE_DENY" | "CHOICE_INHERIT" | 1 | 2 | 3;
  template?: string | null;
}

export interface Preferences {
  user_id?: string;
  rules?: Array<PreferenceRule>;
  update_time?: string;
  etag?: string;
  quiet_hours?: QuietHours;
}

export interface PreviewTemplateResponse {
  content?: Content;
  locale?: string;
  version?: number;
}

export type Priority = "normal" | "high";

export interface Project {
  id?: string;
  display_name?: string;
  create_time?: string;
}

export interface ProjectInput {
  id?: string;
  display_name?: string | null;
  create_time?: string | null;
}

export interface QuietHours {
  start?: string;
  end?: string;
  off?: boolean;
}

export interface QuietHoursInput {
  start?: string | null;
  end?: string | null;
  off?: boolean | null;
}

export interface RefreshRequest {
  refresh_token?: string;
}

export interface RefreshResponse {
  access_token?: string;
  token_type?: string;
  expires_in?: number;
  refresh_token?: string;
  user_id?: string;
}

export interface ReplayWebhookDeliveriesResponse {
  replayed_count?: string;
}

export interface RequeueDeadLettersRequest {
  filter?: DeadLetterFilterInput | null;
  rate_per_s?: number | string | null;
  max?: number | string | null;
  note?: string | null;
  request_id?: string | null;
}

export type Role = "member" | "administrator";

export interface RotateWebhookSecretResponse {
  secret?: string;
  old_secret_expire_time?: string;
}

export interface Saga {
  id?: string;
  kind?: string;
  key?: string;
  state?: SagaState;
  steps?: Array<SagaStep>;
  attempts?: number;
  reason?: string;
  next_attempt_time?: string;
  create_time?: string;
  update_time?: string;
  correlation_id?: string;
}

export type SagaState = "running" | "compensating" | "completed" | "compensated" | "suspended";

export interface SagaStep {
  name?: string;
  state?: SagaStepState;
  start_time?: string;
  end_time?: string;
}

export type SagaStepState = "pending" | "done" | "failed" | "compensated";

export interface SendNotificationRequest {
  user_id?: string | null;
  channel?: Channel | "CHANNEL_EMAIL" | "CHANNEL_PUSH" | 1 | 2;
  template?: string;
  variables?: Record<string, FreeJson> | null;
  locale?: string | null;
  priority?: Priority | "PRIORITY_UNSPECIFIED" | "PRIORITY_NORMAL" | "PRIORITY_HIGH" | "unspecified" | 0 | 1 | 2 | null;
  send_at?: string | null;
  expires_at?: string | null;
  category?: string | null;
  request_id?: string | null;
  metadata?: Record<string, string> | null;
  to?: AddresseeInput | null;
}

export interface SendNotificationRequestElement {
  user_id?: string | null;
  channel?: Channel | "CHANNEL_UNSPECIFIED" | "CHANNEL_EMAIL" | "CHANNEL_PUSH" | "unspecified" | 0 | 1 | 2 | null;
  template?: string | null;
  variables?: Record<string, FreeJson> | null;
  locale?: string | null;
  priority?: Priority | "PRIORITY_UNSPECIFIED" | "PRIORITY_NORMAL" | "PRIORITY_HIGH" | "unspecified" | 0 | 1 | 2 | null;
  send_at?: string | null;
  expires_at?: string | null;
  category?: string | null;
  request_id?: string | null;
  metadata?: Record<string, string> | null;
  to?: AddresseeInput | null;
}

export interface SendNotificationResponse {
  id?: string;
  status?: NotificationStatus;
  create_time?: string;
}

export interface Status {
  code?: number;
  message?: string;
  details?: Array<Record<string, unknown>>;
}

export interface Suppression {
  address?: string;
  reason?: string;
  create_time?: string;
  evidence?: string;
}

export interface Template {
  name?: string;
  channel?: Channel;
  category?: string;
  description?: string;
  mandatory?: boolean;
  on_unknown?: OnUnknown;
  default_locale?: string;
  published_version?: number;
  latest_version?: number;
  create_time?: string;
  update_time?: string;
}

export interface TemplateVersion {
  template?: string;
  version?: number;
  contents?: Record<string, Content>;
  required_variables?: Array<string>;
  published?: boolean;
  create_time?: string;
}

export interface TimelineEntry {
  time?: string;
  status?: NotificationStatus;
  attempt?: number;
  reason?: string;
  detail?: string;
  next_attempt_time?: string;
  devices?: Array<DeviceResult>;
  provider?: string;
}

export interface UpsertResult {
  id?: string;
  error?: Status;
}

export interface User {
  id?: string;
  email?: string;
  name?: string;
  locale?: string;
  timezone?: string;
  role?: Role;
  create_time?: string;
  update_time?: string;
  etag?: string;
  external_id?: string;
}

export interface UserInput {
  id?: string | null;
  email?: string | null;
  name?: string | null;
  locale?: string | null;
  timezone?: string | null;
  role?: Role | "ROLE_UNSPECIFIED" | "ROLE_MEMBER" | "ROLE_ADMINISTRATOR" | "unspecified" | 0 | 1 | 2 | null;
  create_time?: string | null;
  update_time?: string | null;
  etag?: string | null;
  external_id?: string | null;
}

export interface UserInputElement {
  id?: string | null;
  email?: string | null;
  name?: string | null;
  locale?: string | null;
  timezone?: string | null;
  role?: Role | "ROLE_UNSPECIFIED" | "ROLE_MEMBER" | "ROLE_ADMINISTRATOR" | "unspecified" | 0 | 1 | 2 | null;
  create_time?: string | null;
  update_time?: string | null;
  etag?: string | null;
  external_id?: string | null;
}

export interface WatchChangesResponse {
  change?: Change;
  cursor?: string;
}

export interface WatchNotificationResponse {
  notification?: Notification;
}

export interface WebhookAttempt {
  time?: string;
  duration?: string;
  status?: number;
  reason?: string;
  reply?: string;
}

export interface WebhookDelivery {
  id?: string;
  type?: string;
  notification_id?: string;
  cursor?: string;
  state?: WebhookDeliveryState;
  next_attempt_time?: string;
  create_time?: string;
  attempts?: Array<WebhookAttempt>;
}

export type WebhookDeliveryState = "waiting" | "delivered" | "failed";

export interface WebhookEndpoint {
  id?: string;
  url?: string;
  description?: string;
  statuses?: Array<NotificationStatus>;
  channel?: Channel;
  template?: string;
  category?: string;
  metadata?: Array<string>;
  disabled?: boolean;
  state?: WebhookEndpointState;
  state_reason?: string;
  failing_since?: string;
  waiting_count?: string;
  create_time?: string;
  update_time?: string;
}

export interface WebhookEndpointInput {
  id?: string | null;
  url?: string | null;
  description?: string | null;
  statuses?: Array<NotificationStatus | "NOTIFICATION_STATUS_UNSPECIFIED" | "NOTIFICATION_STATUS_SCHEDULED" | "NOTIFICATION_STATUS_PENDING" | "NOTIFICATION_STATUS_QUEUED" | "NOTIFICATION_STATUS_SENDING" | "NOTIFICATION_STATUS_RETRYING" | "NOTIFICATION_STATUS_SENT" | "NOTIFICATION_STATUS_FAILED" | "NOTIFICATION_STATUS_SKIPPED" | "NOTIFICATION_STATUS_CANCELLED" | "NOTIFICATION_STATUS_EXPIRED" | "unspecified" | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10> | null;
  channel?: Channel | "CHANNEL_UNSPECIFIED" | "CHANNEL_EMAIL" | "CHANNEL_PUSH" | "unspecified" | 0 | 1 | 2 | null;
  template?: string | null;
  category?: string | null;
  metadata?: Array<string> | null;
  disabled?: boolean | null;
  state?: WebhookEndpointState | "WEBHOOK_ENDPOINT_STATE_UNSPECIFIED" | "WEBHOOK_ENDPOINT_STATE_ENABLED" | "WEBHOOK_ENDPOINT_STATE_DISABLED" | "WEBHOOK_ENDPOINT_STATE_PAUSED" | "WEBHOOK_ENDPOINT_STATE_GONE" | "unspecified" | 0 | 1 | 2 | 3 | 4 | null;
  state_reason?: string | null;
  failing_since?: string | null;
  waiting_count?: number | string | null;
  create_time?: string | null;
  update_time?: string | null;
}

export type WebhookEndpointState = "enabled" | "disabled" | "paused" | "gone";
