{{/* What people wait for, and how long one in twenty may at most (docs/slo.md). A join is dated in whole seconds, so that it is seen
     to be up to a second older than it is: over 2 s it was surely over 1 s. */}}
{{- define "nezuko.objectives" -}}
- name: join_to_mute
  alert: Mutes
  what: joins within %s were muted
- name: press_to_free
  alert: Releases
  what: those who pressed within %s were freed
{{- end }}

{{/* Which share was late, of each bot. */}}
{{- define "nezuko.lateness" -}}
{{- $fleet := include "nezuko.series" . }}
{{- range $objective := include "nezuko.objectives" . | fromYamlArray }}
{{- range $window := list "5m" "30m" "1h" "6h" }}
- record: bot:nezuko_{{ $objective.name }}_late:ratio_rate{{ $window }}
  expr: >-
    1 - sum by (namespace, service, bot_id) (rate(nezuko_{{ $objective.name }}_seconds_bucket{ {{- $fleet -}} ,le="2.0"}[{{ $window }}]))
    / sum by (namespace, service, bot_id) (rate(nezuko_{{ $objective.name }}_seconds_count{ {{- $fleet -}} }[{{ $window }}]))
{{- end }}
{{- end }}
{{- end }}

{{/* The budget is one in twenty. At six times its pace a month's is gone in five days, at twice in fifteen. Few events prove nothing. */}}
{{- define "nezuko.burning" -}}
{{- $fleet := include "nezuko.series" . }}
{{- range $objective := include "nezuko.objectives" . | fromYamlArray }}
{{- $late := printf "bot:nezuko_%s_late:ratio_rate" $objective.name }}
{{- range list (dict "pace" "Fast" "long" "1h" "short" "5m" "over" 0.3 "share" "30 %" "severity" "critical") (dict "pace" "Slow" "long" "6h" "short" "30m" "over" 0.1 "share" "10 %" "severity" "warning") }}
- alert: Nezuko{{ $objective.alert }}Burn{{ .pace }}
  expr: >-
    {{ $late }}{{ .long }}{ {{- $fleet -}} } > {{ .over }} and {{ $late }}{{ .short }}{ {{- $fleet -}} } > {{ .over }}
    and sum by (namespace, service, bot_id) (increase(nezuko_{{ $objective.name }}_seconds_count{ {{- $fleet -}} }[{{ .long }}])) >= 20
  labels: {severity: {{ .severity }}}
  annotations:
    summary: 'Over {{ .share }} of {{ printf $objective.what .long }} late by bot {{ "{{ $labels.bot_id }}" }}'
    description: At most 5 % may. Look at the backlog, at PostgreSQL, at nezuko_limiter_pauses_total and at bot_api_errors_total.
{{- end }}
{{- end }}
{{- end }}
