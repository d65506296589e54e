{{/* By how much a counter has risen, also one that appeared in this time and has no zero to rise from. Takes series and window. */}}
{{- define "nezuko.rise" -}}
{{- $series := index . 0 }}{{ $window := index . 1 -}}
({{ $series }} unless max_over_time({{ $series }}[{{ $window }}] offset {{ $window }})) or increase({{ $series }}[{{ $window }}])
{{- end }}

{{/* Alerts on what docs/metrics.md lists. Each says what to look at; docs/runbook.md says more. */}}
{{- define "nezuko.alerts" -}}
{{- $fleet := include "nezuko.series" . }}
{{- $gateways := printf "%s,app_kubernetes_io_component=\"gateway\"" $fleet }}
{{- $workers := printf "%s,app_kubernetes_io_component=\"worker\"" $fleet }}
{{- $backlog := printf "(max by (bot_id) (nezuko_queue_unread{%s}) + max by (bot_id) (nezuko_queue_pending{%s}))" $fleet $fleet }}
{{- $full := .Values.settings.MAX_BACKLOG | default 100000 | int64 }}
- alert: NezukoNoGateway
  expr: absent(nezuko_build_info{ {{- $gateways -}} })
  for: 3m
  labels: {severity: critical}
  annotations:
    summary: No gateway is seen
    description: Telegram keeps updates for 24 hours and then drops them. Look at the gateways' pods and at the ServiceMonitor.
- alert: NezukoNoWorker
  expr: absent(nezuko_build_info{ {{- $workers -}} })
  for: 3m
  labels: {severity: critical}
  annotations:
    summary: No worker is seen
    description: Updates pile up in Redis and nobody is muted or freed. Look at the workers' pods and their logs.
- alert: NezukoUpdatesRefused
  expr: >-
    sum(rate(nezuko_webhook_requests_total{ {{- $fleet -}} ,outcome="unavailable"}[5m]))
    > 0.05 * sum(rate(nezuko_webhook_requests_total{ {{- $fleet -}} }[5m]))
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: One update in twenty or more is answered 503
    description: Redis is away, slow or full, or the backlog is over MAX_BACKLOG. The gateways' logs say which.
- alert: NezukoSecretRefused
  expr: sum by (bot_id) (rate(nezuko_webhook_requests_total{ {{- $fleet -}} ,outcome="unauthorized"}[10m])) > 0.1
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: 'Requests for bot {{ "{{ $labels.bot_id }}" }} have the wrong secret'
    description: Telegram has another secret than the gateways (docs/webhook.md), or somebody else knows the address.
- alert: NezukoWebhookNotRegistered
  expr: sum by (bot_id) ({{ include "nezuko.rise" (list (printf "nezuko_webhook_registrations_total{%s,outcome=\"failed\"}" $fleet) "30m") }}) >= 2
  labels: {severity: warning}
  annotations:
    summary: 'The webhook of bot {{ "{{ $labels.bot_id }}" }} cannot be registered'
    description: The gateways' logs have Telegram's answer. Look at WEBHOOK_URL and at the way to Telegram.
{{- /* Gateways look every 8½ to 11½ minutes, and Telegram tries what waits again at least every two (WebhookActor.cpp of its Bot API
       server): while it fails no error that is seen is older than 14 minutes. One alone is forgotten after 20. */}}
- alert: NezukoWebhookErrors
  expr: >-
    time() - max by (bot_id) (nezuko_webhook_last_error_timestamp_seconds{ {{- $fleet -}} }) < 1200
    and max by (bot_id) (nezuko_webhook_pending_updates{ {{- $fleet -}} }) > 0
  for: 20m
  labels: {severity: warning}
  annotations:
    summary: 'Telegram cannot deliver updates of bot {{ "{{ $labels.bot_id }}" }}'
    description: However few they are, it has failed again and again. `nezuko-worker doctor` and the gateways' logs have Telegram's last error.
- alert: NezukoWebhookFails
  expr: max by (bot_id) (nezuko_webhook_pending_updates{ {{- $fleet -}} }) > 1000
  for: 20m
  labels: {severity: warning}
  annotations:
    summary: 'Updates of bot {{ "{{ $labels.bot_id }}" }} wait at Telegram'
    description: Telegram cannot deliver. Look at the ingress and its certificate; `nezuko-worker doctor` shows Telegram's last error.
- alert: NezukoBacklog
  expr: {{ $backlog }} > {{ div $full 10 }}
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'Updates of bot {{ "{{ $labels.bot_id }}" }} wait in Redis'
    description: Workers do not keep up. Look at PostgreSQL and at the workers' processor time; more workers may help.
- alert: NezukoBacklogAlmostFull
  expr: {{ $backlog }} > {{ div (mul $full 8) 10 }}
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: 'The backlog of bot {{ "{{ $labels.bot_id }}" }} is at 80 % of MAX_BACKLOG'
    description: Beyond it, gateways answer 503 and Telegram keeps the updates. Look at workers and PostgreSQL.
- alert: NezukoUpdatesLate
  expr: max by (bot_id) (nezuko_stream_oldest_age_seconds{ {{- $fleet -}} }) > 60
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: 'An update of bot {{ "{{ $labels.bot_id }}" }} has waited in Redis for over a minute'
    description: However few wait, nobody ends them. Look at the workers' logs, at PostgreSQL and at the backlog.
- alert: NezukoDeadLetters
  expr: sum by (bot_id, reason) ({{ include "nezuko.rise" (list (printf "nezuko_dead_letters_total{%s}" $fleet) "1h") }}) > 0
  labels: {severity: warning}
  annotations:
    summary: 'Updates of bot {{ "{{ $labels.bot_id }}" }} were given up ({{ "{{ $labels.reason }}" }})'
    description: '`nezuko-worker dlq list` shows them, `dlq replay` tries them again.'
- alert: NezukoServerAway
  expr: max by (dependency, app_kubernetes_io_component) (nezuko_breaker_state{ {{- $fleet -}} ,dependency=~"redis|postgresql"}) > 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: '{{ "{{ $labels.dependency }}" }} is away for a {{ "{{ $labels.app_kubernetes_io_component }}" }}'
    description: docs/failure.md says what goes on meanwhile. `nezuko-worker doctor` says what it sees of the server.
- alert: NezukoPoolExhausted
  expr: >-
    max by (instance) (nezuko_db_connections{ {{- $fleet -}} ,state="in_use"})
    >= max by (instance) (nezuko_db_connections{ {{- $fleet -}} ,state="max"})
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'All connections of {{ "{{ $labels.instance }}" }} to PostgreSQL are in use'
    description: What needs another one waits. Look at how long statements take, then at locks in PostgreSQL.
- alert: NezukoTelegramAway
  expr: max by (bot_id) (nezuko_breaker_state{ {{- $fleet -}} ,dependency="telegram"}) > 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: 'Telegram does not answer bot {{ "{{ $labels.bot_id }}" }}'
    description: Intents wait and are carried out when it is back. Look at the way out of the cluster, then at Telegram.
- alert: NezukoIntentsLate
  expr: >-
    max by (bot_id, kind) (nezuko_intents_oldest_age_seconds{ {{- $fleet -}} ,kind!~"redecide|recheck|release|log|link"}) > 300
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'An intent ({{ "{{ $labels.kind }}" }}) of bot {{ "{{ $labels.bot_id }}" }} has been due for over five minutes'
    description: Somebody waits for it. Look at Telegram's breaker, at nezuko_limiter_pauses_total and at bot_api_errors_total.
- alert: NezukoMutesLate
  expr: >-
    histogram_quantile(0.95, sum by (bot_id, le) (rate(nezuko_join_to_mute_seconds_bucket{ {{- $fleet -}} }[10m]))) > 30
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'Who joins is muted late by bot {{ "{{ $labels.bot_id }}" }}'
    description: One in twenty waits over 30 s. Look at the backlog, at PostgreSQL and at nezuko_limiter_pauses_total.
- alert: NezukoAnswersLate
  expr: >-
    histogram_quantile(0.95, sum by (bot_id, le) (rate(nezuko_press_to_answer_seconds_bucket{ {{- $fleet -}} }[10m]))) > 5
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'Presses of the button are answered late by bot {{ "{{ $labels.bot_id }}" }}'
    description: One in twenty waits over 5 s. Look at the backlog, at PostgreSQL and at bot_api_errors_total.
- alert: NezukoReleasesLate
  expr: >-
    histogram_quantile(0.95, sum by (bot_id, le) (rate(nezuko_press_to_free_seconds_bucket{ {{- $fleet -}} }[10m]))) > 5
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'Who presses the button is freed late by bot {{ "{{ $labels.bot_id }}" }}'
    description: One in twenty waits over 5 s. Look at the backlog, at PostgreSQL and at nezuko_limiter_pauses_total.
- alert: NezukoOutage
  expr: sum by (bot_id) ({{ include "nezuko.rise" (list (printf "nezuko_outages_total{%s}" $fleet) "1h") }}) > 0
  labels: {severity: warning}
  annotations:
    summary: 'Bot {{ "{{ $labels.bot_id }}" }} heard nothing for more than a day'
    description: Nothing happened, or Telegram has dropped updates; the runbook says how to tell. Everybody concerned is looked up by itself.
- alert: NezukoQueueLost
  expr: sum by (bot_id) ({{ include "nezuko.rise" (list (printf "nezuko_queue_groups_lost_total{%s}" $fleet) "1h") }}) > 0
  labels: {severity: critical}
  annotations:
    summary: 'The queue of bot {{ "{{ $labels.bot_id }}" }} had vanished from Redis'
    description: Updates that waited in it are gone. Redis was emptied, or came back without its data; look at its append-only file.
- alert: NezukoClockOff
  expr: max by (instance) (abs(nezuko_clock_skew_seconds{ {{- $fleet -}} })) > 2
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: 'The clock of {{ "{{ $labels.instance }}" }} is off by more than 2 s'
    description: Events are ordered by Telegram's dates and lookups by this clock. Set it by NTP.
- alert: NezukoTelemetryDropped
  expr: sum by (exporter, app_kubernetes_io_component) (increase(nezuko_telemetry_dropped_total{ {{- $fleet -}} }[30m])) > 0
  for: 45m
  labels: {severity: warning}
  annotations:
    summary: 'What a {{ "{{ $labels.app_kubernetes_io_component }}" }} sends as {{ "{{ $labels.exporter }}" }} is lost'
    description: Nobody waits for it, but traces or reports of errors are missing. The log says since when; look at the collector or Sentry.
{{- end }}
