{{/* TLS and passwords, common to node and grid: one web configuration, from a Secret. */}}

{{/* Whether there is a web configuration; whether it is made here. */}}
{{- define "noether.web.made" -}}
{{- if and (not .Values.web.configSecret.name) (or .Values.web.tls.secretName .Values.web.basicAuth.users) }}true{{ end -}}
{{- end }}
{{- define "noether.web.given" -}}
{{- if or .Values.web.configSecret.name (include "noether.web.made" .) }}true{{ end -}}
{{- end }}

{{- define "noether.web.scheme" -}}
{{- $web := .Values.web -}}
{{- if $web.configSecret.name }}{{ $web.configSecret.scheme }}{{ else }}{{ ternary "https" "http" (not (empty $web.tls.secretName)) }}{{ end -}}
{{- end }}

{{/* Whether one needs a password or certificate to see anything. */}}
{{- define "noether.web.guarded" -}}
{{- $web := .Values.web -}}
{{- if $web.configSecret.name -}}
{{- if $web.configSecret.guarded }}true{{ end -}}
{{- else if or $web.basicAuth.users (and $web.tls.secretName (eq $web.tls.clientAuthType "RequireAndVerifyClientCert")) }}true{{ end -}}
{{- end }}

{{- define "noether.web.config" -}}
{{- $tls := .Values.web.tls -}}
{{- if $tls.secretName }}
tls_server_config:
  cert_file: /etc/noether/tls/tls.crt
  key_file: /etc/noether/tls/tls.key
  client_auth_type: {{ $tls.clientAuthType }}
  {{- if $tls.clientCASecretName }}
  client_ca_file: /etc/noether/client-ca/{{ $tls.clientCAKey }}
  {{- end }}
  {{- with $tls.clientAllowedSans }}
  client_allowed_sans:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .Values.web.basicAuth.users }}
basic_auth_users:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "noether.web.volumes" -}}
{{- $web := .Values.web -}}
{{- if $web.configSecret.name }}
- name: web
  secret: {secretName: {{ $web.configSecret.name }}, defaultMode: 0440}
{{- else if include "noether.web.made" . }}
- name: web
  secret: {secretName: {{ include "noether.fullname" . }}-web, defaultMode: 0440}
{{- with $web.tls.secretName }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with $web.tls.clientCASecretName }}
- name: client-ca
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}

{{- define "noether.web.mounts" -}}
{{- $web := .Values.web -}}
{{- if include "noether.web.given" . }}
- {name: web, mountPath: /etc/noether/web, readOnly: true}
{{- if include "noether.web.made" . }}
{{- if $web.tls.secretName }}
- {name: tls, mountPath: /etc/noether/tls, readOnly: true}
{{- end }}
{{- if $web.tls.clientCASecretName }}
- {name: client-ca, mountPath: /etc/noether/client-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "noether.web.args" -}}
{{- if .Values.web.configSecret.name }}
- --web.config.file=/etc/noether/web/{{ .Values.web.configSecret.key }}
{{- else if include "noether.web.made" . }}
- --web.config.file=/etc/noether/web/web-config.yaml
{{- end }}
{{- end }}

{{/* A probe: (list . path settings). Behind passwords or certificates a kubelet can only see whether the port is open. */}}
{{- define "noether.web.probe" -}}
{{- $root := index . 0 -}}
{{- if include "noether.web.guarded" $root }}
tcpSocket: {port: metrics}
{{- else }}
httpGet: {path: {{ index . 1 }}, port: metrics, scheme: {{ include "noether.web.scheme" $root | upper }}}
{{- end }}
{{ toYaml (index . 2) }}
{{- end }}
