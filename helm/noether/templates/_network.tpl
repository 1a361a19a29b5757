{{/* Rules of egress that node and grid share: names, the OTLP receiver, and what is added by hand. */}}
{{- define "noether.ports" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (dict "port" (int .) "protocol" "TCP") -}}
{{- end -}}
{{- toJson $ports -}}
{{- end }}

{{- define "noether.egress" -}}
{{- $rules := list -}}
{{- if or .Values.otlp.enabled .Values.grid.enabled (include "noether.node.token" .) -}}
{{- $dns := list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP") -}}
{{- $rules = append $rules (dict "ports" $dns) -}}
{{- end -}}
{{- if .Values.otlp.enabled -}}
{{- $rules = append $rules (dict "ports" (include "noether.ports" .Values.networkPolicy.otlpPorts | fromJsonArray)) -}}
{{- end -}}
{{- toJson (concat $rules .Values.networkPolicy.extraEgress) -}}
{{- end }}
