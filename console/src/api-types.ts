// Written by scripts/gen_console.py from the OpenAPI document; do not edit.

export interface ActivityCounts {
  accepted?: string;
  sent?: string;
  failed?: string;
  skipped?: string;
  expired?: string;
  cancelled?: string;
  delivered?: string;
  bounced?: string;
  complained?: string;
  opened?: string;
}

export interface ActivityPoint {
  start_time?: string;
  counts?: ActivityCounts;
  latency?: Latency;
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
  restrictions?: KeyRestrictions;
}

export interface AssignRoleResponse {
  user_id?: string;
  role?: string;
}

export interface AuditEvent {
  id?: string;
  time?: string;
  kind?: AuditEventKind;
  actor?: string;
  subject?: string;
  details?: Record<string, string>;
  correlation_id?: string;
}

export type AuditEventKind = "signed_in" | "sign_in_failed" | "sessions_ended" | "password_changed" | "email_changed" | "api_key_created" | "api_key_revoked" | "data_exported" | "user_erased" | "role_changed" | "suppression_removed" | "category_changed" | "password_reset_requested" | "password_reset" | "email_verified" | "second_factor_added" | "second_factor_removed" | "recovery_code_used" | "recovery_codes_created" | "role_created" | "role_updated" | "role_deleted" | "project_archived" | "project_restored" | "project_erased" | "content_read" | "sender_changed" | "sender_deleted" | "sender_domain_added" | "sender_domain_verified" | "sender_domain_deleted" | "sender_domain_key_changed" | "template_published" | "template_archived" | "template_restored" | "template_deleted" | "canary_started" | "canary_stopped" | "address_added" | "address_removed" | "signing_key_rotated" | "template_updated";

export interface BeginSecondFactorResponse {
  secret?: string;
  otpauth_uri?: string;
}

export interface BeginSignInResponse {
  authorization_url?: string;
  flow?: string;
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

export interface Canary {
  template?: string;
  version?: number;
  percent?: number;
  unit?: CanaryUnit;
  note?: string;
  published_version?: number;
  state?: CanaryState;
  started_by?: string;
  start_time?: string;
  end_time?: string;
  ended_by?: string;
}

export type CanaryState = "running" | "published" | "superseded" | "stopped";

export type CanaryUnit = "notification" | "user";

export interface CapturedAttachment {
  filename?: string;
  content_type?: string;
  attachment_id?: string;
  size_bytes?: number;
  content_id?: string;
}

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
  locale_chain?: Array<string>;
  sender?: MessageSender;
  attachments?: Array<CapturedAttachment>;
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
  fact?: Fact;
}

export type Channel = "email" | "push";

export type Choice = "allow" | "deny" | "inherit";

export interface ConfirmSecondFactorResponse {
  recovery_codes?: Array<string>;
}

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
  mjml?: string;
}

export interface CreateApiKeyResponse {
  api_key?: ApiKey;
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

export interface DeleteProjectResponse {
  saga_id?: string;
  completed?: boolean;
}

export interface DeleteUserResponse {
  saga_id?: string;
  completed?: boolean;
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
  app?: string;
  last_seen_time?: string;
}

export interface DeviceResult {
  device_id?: string;
  accepted?: boolean;
  reason?: string;
}

export type Fact = "delivered" | "hard_bounced" | "soft_bounced" | "complained" | "opened";

export interface Finding {
  rule?: string;
  field?: string;
  line?: number;
  description?: string;
}

export interface GetActivityResponse {
  start_time?: string;
  end_time?: string;
  step?: string;
  totals?: ActivityCounts;
  latency?: Latency;
  points?: Array<ActivityPoint>;
  templates?: Array<TemplateActivity>;
  versions?: Array<VersionActivity>;
}

export interface Issuer {
  id?: string;
  title?: string;
}

export interface KeyRestrictions {
  templates?: Array<string>;
  categories?: Array<string>;
  recipient_domains?: Array<string>;
}

export interface Latency {
  p50?: string;
  p95?: string;
  p99?: string;
  within_target?: number;
  count?: string;
}

export interface LintContentsResponse {
  findings?: Array<Finding>;
  required_variables?: Array<string>;
  locales?: Array<LocaleReport>;
}

export interface ListApiKeysResponse {
  api_keys?: Array<ApiKey>;
  next_page_token?: string;
}

export interface ListAuditEventsResponse {
  audit_events?: Array<AuditEvent>;
  next_page_token?: string;
}

export interface ListBreakersResponse {
  breakers?: Array<Breaker>;
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

export interface ListIssuersResponse {
  issuers?: Array<Issuer>;
}

export interface ListNotificationsResponse {
  notifications?: Array<Notification>;
  next_page_token?: string;
}

export interface ListPartialsResponse {
  partials?: Array<Partial>;
  next_page_token?: string;
}

export interface ListProblemsResponse {
  problems?: Array<Problem>;
}

export interface ListProjectsResponse {
  projects?: Array<Project>;
  next_page_token?: string;
}

export interface ListPublicationsResponse {
  publications?: Array<Publication>;
  next_page_token?: string;
}

export interface ListQueuesResponse {
  queues?: Array<Queue>;
  workers?: Array<Worker>;
}

export interface ListRolesResponse {
  roles?: Array<OperatorRole>;
  next_page_token?: string;
}

export interface ListSagasResponse {
  sagas?: Array<Saga>;
  next_page_token?: string;
}

export interface ListScheduledPublicationsResponse {
  scheduled_publications?: Array<ScheduledPublication>;
  next_page_token?: string;
}

export interface ListSessionsResponse {
  sessions?: Array<Session>;
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

export interface LocaleReport {
  locale?: string;
  messages?: number;
  translated_messages?: number;
  unused_variables?: Array<string>;
}

export interface LoginResponse {
  access_token?: string;
  token_type?: string;
  expires_in?: number;
  refresh_token?: string;
  user_id?: string;
  second_factor_missing?: boolean;
}

export interface MessageSender {
  email?: string;
  display_name?: string;
  reply_to_email?: string;
  dkim_domain?: string;
  dkim_selector?: string;
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
  resent_from?: string;
}

export type NotificationStatus = "scheduled" | "pending" | "queued" | "sending" | "retrying" | "sent" | "failed" | "skipped" | "cancelled" | "expired";

export type OnUnknown = "resend" | "hold";

export interface OperatorRole {
  id?: string;
  description?: string;
  scopes?: Array<string>;
  user_ids?: Array<string>;
  create_time?: string;
  update_time?: string;
  etag?: string;
}

export interface Partial {
  name?: string;
  source?: string;
  revision?: number;
  update_time?: string;
  uses?: Array<PartialUse>;
}

export interface PartialUse {
  template?: string;
  version?: number;
  revision?: number;
}

export type Platform = "android" | "ios" | "web";

export interface PreferenceRule {
  channel?: Channel;
  category?: string;
  choice?: Choice;
  template?: string;
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
  locale_chain?: Array<string>;
  sender?: MessageSender;
}

export type Priority = "normal" | "high";

export interface Problem {
  reason?: string;
  severity?: ProblemSeverity;
  description?: string;
  next_step?: string;
}

export type ProblemSeverity = "notice" | "urgent";

export interface Project {
  id?: string;
  display_name?: string;
  create_time?: string;
  archive_time?: string;
}

export interface Publication {
  version?: number;
  publish_time?: string;
  published_by?: string;
  note?: string;
  previous_version?: number;
  scheduled_publication?: string;
}

export interface Queue {
  name?: string;
  kind?: QueueKind;
  channel?: Channel;
  urgent?: boolean;
  messages?: string;
  consumers?: number;
  oldest_age?: string;
}

export type QueueKind = "work" | "delay" | "outcomes" | "failed";

export interface QuietHours {
  start?: string;
  end?: string;
  off?: boolean;
}

export interface RebuildTemplatesResponse {
  templates?: Array<Rebuilt>;
}

export interface Rebuilt {
  template?: string;
  old_version?: number;
  new_version?: number;
  problem?: string;
}

export interface ReplayWebhookDeliveriesResponse {
  replayed_count?: string;
}

export interface ResendNotificationResponse {
  id?: string;
  status?: NotificationStatus;
  create_time?: string;
}

export type Role = "member" | "administrator";

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

export interface ScheduledPublication {
  id?: string;
  template?: string;
  version?: number;
  publish_at?: string;
  previous_version?: number;
  note?: string;
  state?: ScheduledPublicationState;
  scheduled_by?: string;
  create_time?: string;
  end_time?: string;
  ended_by?: string;
  reason?: string;
  description?: string;
}

export type ScheduledPublicationState = "planned" | "published" | "failed" | "cancelled" | "replaced";

export interface SecondFactor {
  enabled?: boolean;
  confirm_time?: string;
  recovery_codes_left?: number;
}

export interface SendNotificationResponse {
  id?: string;
  status?: NotificationStatus;
  create_time?: string;
}

export interface SentContent {
  notification_id?: string;
  channel?: Channel;
  template?: string;
  template_version?: number;
  locale?: string;
  content?: Content;
  sender?: MessageSender;
  masked_variables?: Array<string>;
}

export interface Session {
  id?: string;
  create_time?: string;
  last_use_time?: string;
  expire_time?: string;
  current?: boolean;
}

export interface Suppression {
  address?: string;
  reason?: string;
  create_time?: string;
  evidence?: string;
  category?: string;
  expire_time?: string;
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
  archive_time?: string;
  archived_by?: string;
  etag?: string;
}

export interface TemplateActivity {
  template?: string;
  channel?: Channel;
  counts?: ActivityCounts;
}

export interface TemplateVersion {
  template?: string;
  version?: number;
  contents?: Record<string, Content>;
  required_variables?: Array<string>;
  published?: boolean;
  create_time?: string;
  locales?: Array<LocaleReport>;
  catalogs?: Record<string, string>;
  findings?: Array<Finding>;
  variables_schema?: Record<string, unknown>;
  partials?: Record<string, number>;
  created_by?: string;
  note?: string;
  archive_time?: string;
  archived_by?: string;
  sender?: string;
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
  fact?: Fact;
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
  attributes?: Record<string, unknown>;
  email_verified?: boolean;
  assigned_role?: string;
}

export interface VersionActivity {
  version?: number;
  counts?: ActivityCounts;
  latency?: Latency;
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
  user_id?: string;
}

export type WebhookEndpointState = "enabled" | "disabled" | "paused" | "gone";

export interface Worker {
  id?: string;
  providers?: Array<string>;
  seen_age?: string;
}
