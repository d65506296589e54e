{{/* What values.schema.json cannot say, because it compares two values. All of it is told at once. */}}
{{- define "nezuko.checks" -}}
{{- with include "nezuko.problems" . | trim -}}
{{- fail (printf "the values do not fit each other:\n%s" .) -}}
{{- end -}}
{{- end }}

{{/* One line for each. */}}
{{- define "nezuko.problems" -}}
{{- range $name, $scaling := dict "gateway" .Values.gateway.autoscaling "worker" .Values.worker.autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{ $name }}.autoscaling: minReplicas ({{ int $scaling.minReplicas }}) is greater than maxReplicas ({{ int $scaling.maxReplicas }})
{{- end -}}
{{- end -}}
{{- with .Values.worker.autoscaling -}}
{{- if and .enabled (or (lt (int .fallbackReplicas) (int .minReplicas)) (gt (int .fallbackReplicas) (int .maxReplicas))) }}
worker.autoscaling: fallbackReplicas ({{ int .fallbackReplicas }}) must lie between minReplicas ({{ int .minReplicas }}) and maxReplicas ({{ int .maxReplicas }})
{{- end -}}
{{- end -}}
{{- with .Values.networkPolicy -}}
{{- if and .strict $.Values.settings.OTEL_EXPORTER_OTLP_ENDPOINT (not .collectorTo) }}
networkPolicy.collectorTo must say where the collector is, since networkPolicy.strict is set
{{- end -}}
{{- if and .strict $.Values.sentry.existingSecret (not .sentryTo) }}
networkPolicy.sentryTo must say where Sentry is, since networkPolicy.strict is set
{{- end -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $policy := .Values.networkPolicy -}}
{{- $telegram := .Values.settings.TELEGRAM_API_URL | default "https://api.telegram.org" -}}
{{- include "nezuko.problems.port" (list "TELEGRAM_API_URL" $telegram "telegramPorts" $policy.telegramPorts) -}}
{{- with .Values.settings.OTEL_EXPORTER_OTLP_ENDPOINT -}}
{{- include "nezuko.problems.port" (list "OTEL_EXPORTER_OTLP_ENDPOINT" . "collectorPorts" $policy.collectorPorts) -}}
{{- end -}}
{{- end -}}
{{- $url := .Values.settings.WEBHOOK_URL | default "" -}}
{{- if and .Values.ingress.enabled $url (ne (get (urlParse $url) "hostname") .Values.ingress.host) }}
settings.WEBHOOK_URL must lead to ingress.host
{{- end -}}
{{- if and .Values.ingress.enabled (trimAll "/" (get (urlParse $url) "path")) }}
settings.WEBHOOK_URL must have no path: the ingress leads /webhook to the gateways as it is
{{- end -}}
{{- end }}

{{/* That policies let pods reach the port of an address. Takes the setting's name and the address, the value's name and the ports. */}}
{{- define "nezuko.problems.port" -}}
{{- $url := urlParse (index . 1) -}}
{{- $port := trimPrefix ":" (regexFind ":[0-9]+$" $url.host) | default (eq $url.scheme "http" | ternary "80" "443") -}}
{{- if not (has $port (index . 3 | toStrings)) }}
networkPolicy.{{ index . 2 }} must contain {{ $port }}, the port of settings.{{ index . 0 }}
{{- end -}}
{{- end }}
