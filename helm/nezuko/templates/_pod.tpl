{{/* What the pods have in common. Each template takes a dict with root and component. */}}

{{/* The secret settings of a component and where each lies, as a list of setting, secret and key. */}}
{{- define "nezuko.secrets" -}}
{{- $values := .root.Values -}}
{{- $bots := list -}}
{{- if $values.botsFile.existingSecret -}}
{{- $bots = list (dict "setting" "BOTS_FILE" "secret" $values.botsFile.existingSecret "key" $values.botsFile.key) -}}
{{- else -}}
{{- $bots = list (dict "setting" "BOT_TOKEN" "secret" $values.bot.existingSecret "key" $values.bot.tokenKey) -}}
{{- if eq .component "gateway" -}}
{{- $bots = append $bots (dict "setting" "WEBHOOK_SECRET" "secret" $values.bot.existingSecret "key" $values.bot.webhookSecretKey) -}}
{{- with $values.bot.webhookSecretPreviousKey -}}
{{- $bots = append $bots (dict "setting" "WEBHOOK_SECRET_PREVIOUS" "secret" $values.bot.existingSecret "key" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $redis := index $values.redis (eq .component "gateway" | ternary "gateway" "worker") -}}
{{- $redis = dict "setting" "REDIS_URL" "secret" $redis.existingSecret "key" $redis.key -}}
{{- $database := index $values.database (eq .component "migrate" | ternary "owner" "runtime") -}}
{{- $database = dict "setting" "DATABASE_URL" "secret" $database.existingSecret "key" $database.key -}}
{{- if and $values.sentry.existingSecret (has .component (list "gateway" "worker")) -}}
{{- $bots = append $bots (dict "setting" "SENTRY_DSN" "secret" $values.sentry.existingSecret "key" $values.sentry.key) -}}
{{- end -}}
{{- if eq .component "gateway" -}}
{{- append $bots $redis | toYaml -}}
{{- else if eq .component "migrate" -}}
{{- list $database | toYaml -}}
{{- else -}}
{{- concat $bots (list $redis $database) | toYaml -}}
{{- end -}}
{{- end }}

{{- define "nezuko.podSecurity" -}}
runAsNonRoot: true
{{- if .root.Values.podSecurity.fixedIds }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Image, environment and files of a container; its name, args, ports and probes are its owner's. */}}
{{- define "nezuko.container" -}}
image: {{ include "nezuko.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env:
  {{- range include "nezuko.secrets" . | fromYamlArray }}
  - name: {{ .setting }}{{ if ne .setting "BOTS_FILE" }}_FILE{{ end }}
    value: /etc/nezuko/secrets/{{ .setting }}
  {{- end }}
  {{- if .root.Values.authorities.systemKey }}
  - name: SSL_CERT_FILE
    value: /etc/nezuko/authorities/{{ .root.Values.authorities.systemKey }}
  {{- end }}
  {{- if ne .component "migrate" }}
  {{- range $name, $value := .root.Values.settings }}
  - name: {{ $name }}
    value: {{ include "nezuko.scalar" $value | quote }}
  {{- end }}
  {{- end }}
  {{- with (index .root.Values (eq .component "doctor" | ternary "worker" .component)).extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: secrets
    mountPath: /etc/nezuko/secrets
    readOnly: true
  {{- if .root.Values.authorities.existingConfigMap }}
  - name: authorities
    mountPath: /etc/nezuko/authorities
    readOnly: true
  {{- end }}
{{- end }}

{{- define "nezuko.volumes" -}}
- name: secrets
  projected:
    # Octal 0440: readable by the program's group (fsGroup) alone.
    defaultMode: 288
    sources:
      {{- range include "nezuko.secrets" . | fromYamlArray }}
      - secret:
          name: {{ .secret }}
          items:
            - key: {{ .key }}
              path: {{ .setting }}
      {{- end }}
{{- with .root.Values.authorities.existingConfigMap }}
- name: authorities
  configMap:
    name: {{ . }}
{{- end }}
{{- end }}

{{/* The pod's own fields, the same for deployments, the migration and the test. */}}
{{- define "nezuko.pod" -}}
serviceAccountName: {{ include "nezuko.name" .root }}-{{ .component }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "nezuko.podSecurity" . | nindent 2 }}
volumes:
  {{- include "nezuko.volumes" . | nindent 2 }}
{{- end }}

{{/* Where the pods of a deployment may run; `own` is the component's values. */}}
{{- define "nezuko.placement" -}}
{{- if ne .root.Values.topologySpread "none" }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: {{ and (eq $.root.Values.topologySpread "required") (eq . "kubernetes.io/hostname") | ternary "DoNotSchedule" "ScheduleAnyway" }}
    labelSelector:
      matchLabels:
        {{- include "nezuko.selector" $ | nindent 8 }}
    # Each version is spread by itself, else the old pods would push the new ones together.
    matchLabelKeys: [pod-template-hash]
    # Nodes that take no pod, cordoned ones among them, are not waited for.
    nodeTaintsPolicy: Honor
  {{- end }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Liveness asks nobody else, so that no server that is away gets pods restarted. */}}
{{- define "nezuko.probes" -}}
livenessProbe:
  httpGet:
    path: /live
    port: ops
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /ready
    port: ops
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* Seconds until SIGKILL: what the program gives itself, what precedes SIGTERM (`before`), and some to end in. */}}
{{- define "nezuko.grace" -}}
{{- add (.root.Values.settings.SHUTDOWN_GRACE_SECONDS | default 25) .before 10 -}}
{{- end }}
