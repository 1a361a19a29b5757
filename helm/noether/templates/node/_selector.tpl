{{/* The pods of both DaemonSets. */}}
{{- define "noether.node.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .Release.Name }}
noether.dev/exporter: node
{{- end }}
