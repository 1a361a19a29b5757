{{/* What the grid Deployment is told, and what it mounts. */}}

{{- define "noether.grid.args" -}}
{{- $root := index . 0 -}}
{{- $grid := $root.Values.grid -}}
{{- include "noether.flags" (list
    (list "web.listen-address" (ternary "" (printf ":%v" $grid.port) (eq (int $grid.port) 18824)))
    (list "grid.zone" (index . 1))
    (list "grid.provider" $grid.providers)
    (list "grid.static" $grid.static)
    (list "grid.max-age" $grid.maxAge)
    (list "grid.basis" $grid.basis)) }}
{{- range $provider, $url := $grid.urls }}
- {{ printf "--grid.url=%s=%s" $provider $url | quote }}
{{- end }}
{{- range $grid.tokens }}
- --grid.token-file={{ .provider }}=/etc/noether/tokens/{{ .provider }}/{{ .key }}
{{- end }}
{{- include "noether.prices" $root }}
{{- include "noether.flags" (list (list "budget" $grid.budgets)) }}
{{- include "noether.common.args" $root }}
{{- with $grid.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "noether.grid.env" -}}
{{- include "noether.otlp.env" (list . (dict)) }}
{{- with .Values.grid.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "noether.grid.mounts" -}}
{{- range .Values.grid.tokens }}
- {name: token-{{ .provider }}, mountPath: /etc/noether/tokens/{{ .provider }}, readOnly: true}
{{- end }}
{{- include "noether.web.mounts" . }}
{{- include "noether.otlp.mounts" . }}
{{- with .Values.grid.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "noether.grid.volumes" -}}
{{- range .Values.grid.tokens }}
- name: token-{{ .provider }}
  secret: {secretName: {{ .secretName }}, defaultMode: 0440}
{{- end }}
{{- include "noether.web.volumes" . }}
{{- include "noether.otlp.volumes" . }}
{{- with .Values.grid.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
