{{/* The pods of both DaemonSets. */}}
{{- define "noether.node.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
noether.dev/exporter: node
{{- end }}
