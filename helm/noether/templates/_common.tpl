{{/* Arguments, variables and containers' settings that node and grid share. */}}

{{/* Flags whose values are set: (list (list "log.level" value) …) */}}
{{- define "noether.flags" -}}
{{- range . }}
{{- $value := index . 1 }}
{{- if kindIs "slice" $value }}
{{- $flag := index . 0 }}
{{- range $value }}
- {{ printf "--%s=%v" $flag . | quote }}
{{- end }}
{{- else if not (has (toString $value) (list "" "0")) }}
- {{ printf "--%s=%v" (index . 0) $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "noether.prices" -}}
{{- include "noether.flags" (list
    (list "energy.price" .Values.energyPrice)
    (list "carbon.social-cost" .Values.socialCostOfCarbon)) }}
{{- end }}

{{- define "noether.common.args" -}}
{{- include "noether.flags" (list
    (list "log.level" .Values.log.level)
    (list "log.format" .Values.log.format)
    (list "pue" .Values.pue)) }}
{{- include "noether.web.args" . }}
{{- end }}

{{/* OpenTelemetry's own variables, an endpoint among which is what turns pushing on: (list . attributes) */}}
{{- define "noether.otlp.env" -}}
{{- $root := index . 0 -}}
{{- $otlp := $root.Values.otlp -}}
{{- if $otlp.enabled }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ required "otlp.endpoint: where to push to, as in http://otel-collector.observability:4318" $otlp.endpoint | quote }}}
{{- with $otlp.protocol }}
- {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ . | quote }}}
{{- end }}
{{- with $otlp.intervalMilliseconds }}
- {name: OTEL_METRIC_EXPORT_INTERVAL, value: {{ . | int64 | quote }}}
{{- end }}
{{- with $otlp.headersSecretName }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $otlp.headersSecretKey }}}
{{- end }}
{{- with $otlp.caConfigMapName }}
- {name: OTEL_EXPORTER_OTLP_CERTIFICATE, value: /etc/noether/otlp/{{ $otlp.caConfigMapKey }}}
{{- end }}
{{- $attributes := merge (dict) $otlp.resourceAttributes (index . 1) }}
{{- with $root.Values.cluster }}
{{- $_ := set $attributes "k8s.cluster.name" . }}
{{- /* The label that the rules keep clusters apart by. */}}
{{- $_ := set $attributes "cluster" . }}
{{- end }}
{{- $pairs := list }}
{{- range $name, $value := $attributes }}
{{- $pairs = append $pairs (printf "%s=%s" $name ($value | replace "%" "%25" | replace "," "%2C" | replace "=" "%3D")) }}
{{- end }}
{{- with $pairs }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ join "," . | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "noether.otlp.volumes" -}}
{{- if and .Values.otlp.enabled .Values.otlp.caConfigMapName }}
- name: otlp-ca
  configMap: {name: {{ .Values.otlp.caConfigMapName }}}
{{- end }}
{{- end }}

{{- define "noether.otlp.mounts" -}}
{{- if and .Values.otlp.enabled .Values.otlp.caConfigMapName }}
- {name: otlp-ca, mountPath: /etc/noether/otlp, readOnly: true}
{{- end }}
{{- end }}

{{/* A container's security: never privileged, and of the capabilities those that are named. (list settings added) */}}
{{- define "noether.securityContext" -}}
privileged: false
{{ toYaml (index . 0) }}
capabilities:
  drop: [ALL]
  {{- with index . 1 }}
  add: {{ toJson . }}
  {{- end }}
{{- end }}

{{/* Where pods run, and how they end: (list . part) with the part's settings. */}}
{{- define "noether.placement" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- with include "noether.priorityClass" (list $root $part.priorityClassName) }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds }}
{{- end }}
