{{/* What values.schema.json cannot say, because it compares two values. */}}
{{- define "nezuko.checks" -}}
{{- range $name, $scaling := dict "gateway" .Values.gateway.autoscaling "worker" .Values.worker.autoscaling -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling: minReplicas is greater than maxReplicas" $name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.worker.autoscaling -}}
{{- if or (lt (int .fallbackReplicas) (int .minReplicas)) (gt (int .fallbackReplicas) (int .maxReplicas)) -}}
{{- fail "worker.autoscaling: fallbackReplicas must lie between minReplicas and maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- with .Values.networkPolicy -}}
{{- if and .strict $.Values.settings.OTEL_EXPORTER_OTLP_ENDPOINT (not .collectorTo) -}}
{{- fail "networkPolicy.collectorTo must say where the collector is, since networkPolicy.strict is set" -}}
{{- end -}}
{{- if and .strict $.Values.sentry.existingSecret (not .sentryTo) -}}
{{- fail "networkPolicy.sentryTo must say where Sentry is, since networkPolicy.strict is set" -}}
{{- end -}}
{{- end -}}
{{- $url := .Values.settings.WEBHOOK_URL | default "" -}}
{{- if and .Values.ingress.enabled $url (ne (get (urlParse $url) "hostname") .Values.ingress.host) -}}
{{- fail "settings.WEBHOOK_URL must lead to ingress.host" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (trimAll "/" (get (urlParse $url) "path")) -}}
{{- fail "settings.WEBHOOK_URL must have no path: the ingress leads /webhook to the gateways as it is" -}}
{{- end -}}
{{- end }}
