{{/* The release's name; `nezuko` stands in it once. */}}
{{- define "nezuko.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "nezuko" $name) }}{{ $name = printf "%s-nezuko" $name }}{{ end -}}
{{- $name | trunc 48 | trimSuffix "-" -}}
{{- end }}

{{/* What never changes in the life of a release, so that selectors may use it. Takes root and component. */}}
{{- define "nezuko.selector" -}}
app.kubernetes.io/name: nezuko
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Name, namespace and labels of an object of a component. */}}
{{- define "nezuko.metadata" -}}
name: {{ include "nezuko.name" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "nezuko.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "nezuko.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The labels of this release's series in Prometheus, for alerts and for scaling. */}}
{{- define "nezuko.series" -}}
namespace="{{ .Release.Namespace }}",service="{{ include "nezuko.name" . }}-metrics"
{{- end }}

{{/* A value as a program reads it: YAML may have made 1e+06 of a whole number. A fraction stays what it is. */}}
{{- define "nezuko.scalar" -}}
{{- if not (kindIs "float64" .) }}{{ . }}{{ else if eq . (floor .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}
