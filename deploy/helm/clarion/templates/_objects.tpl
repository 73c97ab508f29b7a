{{/* The image, by digest where there is one. */}}
{{- define "clarion.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* The data of a ConfigMap of the base with what the values put over it, as YAML. */}}
{{- define "clarion.data" -}}
{{- $data := .object.data -}}
{{- if eq .object.metadata.name "clarion" -}}
{{- if or (has "ingress" .root.Values.components) (has "gateway-api" .root.Values.components) -}}
{{- /* all connections come from the few addresses of the Ingress or Gateway */ -}}
{{- $_ := set $data "CLARION_HTTP_CONNECTIONS_PER_ADDRESS" "2000" -}}
{{- end -}}
{{- $data = mergeOverwrite $data .root.Values.config -}}
{{- else -}}
{{- $data = mergeOverwrite $data .root.Values.smtp -}}
{{- end -}}
{{- toYaml $data -}}
{{- end -}}

{{/* A Deployment with image, and with what `services` says of it. */}}
{{- define "clarion.deployment" -}}
{{- $object := .object -}}
{{- $own := index .root.Values.services $object.metadata.name | default dict -}}
{{- $pod := $object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- include "clarion.pod" (dict "pod" $pod "root" .root) -}}
{{- range $name, $value := $own.env -}}
{{- $_ := set $container "env" (append $container.env (dict "name" $name "value" $value)) -}}
{{- end -}}
{{- with $own.resources }}{{ $_ := set $container "resources" (mergeOverwrite $container.resources .) }}{{ end -}}
{{- with $own.nodeSelector }}{{ $_ := set $pod "nodeSelector" . }}{{ end -}}
{{- with $own.tolerations }}{{ $_ := set $pod "tolerations" . }}{{ end -}}
{{- with $own.replicas }}{{ $_ := set $object.spec "replicas" . }}{{ end -}}
{{- $annotations := $object.spec.template.metadata.annotations | default dict -}}
{{- /* a changed ConfigMap rolls what reads it */ -}}
{{- $_ := set $annotations "checksum/config" (toJson (list .root.Values.config .root.Values.smtp .root.Values.components) | sha256sum) -}}
{{- $_ := set $object.spec.template.metadata "annotations" (mergeOverwrite $annotations ($own.podAnnotations | default dict)) -}}
{{- end -}}

{{- define "clarion.pod" -}}
{{- $image := .root.Values.image -}}
{{- range $container := .pod.containers -}}
{{- $_ := set $container "image" (include "clarion.image" $.root) -}}
{{- if $image.pullPolicy }}{{ $_ := set $container "imagePullPolicy" $image.pullPolicy }}{{ end -}}
{{- end -}}
{{- if $image.pullSecrets -}}
{{- $secrets := list -}}
{{- range $image.pullSecrets }}{{ $secrets = append $secrets (dict "name" .) }}{{ end -}}
{{- $_ := set .pod "imagePullSecrets" $secrets -}}
{{- end -}}
{{- end -}}

{{/* A migration runs before anything else of a release is there: it brings its variables along and needs no account. */}}
{{- define "clarion.migration" -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- include "clarion.pod" (dict "pod" $pod "root" .root) -}}
{{- range $source := $container.envFrom -}}
{{- range $name, $value := index $.config $source.configMapRef.name -}}
{{- $_ := set $container "env" (append $container.env (dict "name" $name "value" $value)) -}}
{{- end -}}
{{- end -}}
{{- $_ := unset $container "envFrom" -}}
{{- $_ := unset $pod "serviceAccountName" -}}
{{- $hooks := dict "helm.sh/hook" "pre-install,pre-upgrade" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" -}}
{{- $_ := set .object.metadata "annotations" $hooks -}}
{{- end -}}

{{/* Whom KEDA scales, no other autoscaler does. */}}
{{- define "clarion.autoscaler" -}}
{{- $name := .object.metadata.name -}}
{{- $own := index .root.Values.services $name | default dict -}}
{{- $by_keda := and (has "keda" .root.Values.components) (has $name (list "email-worker" "push-worker")) -}}
{{- if and .root.Values.autoscaling.enabled (not $by_keda) -}}
{{- $_ := set .object.spec "minReplicas" ($own.minReplicas | default .root.Values.autoscaling.minReplicas) -}}
{{- with $own.maxReplicas }}{{ $_ := set $.object.spec "maxReplicas" . }}{{ end -}}
{{- else -}}
{{- $_ := set .object "kind" "" -}}
{{- end -}}
{{- end -}}
