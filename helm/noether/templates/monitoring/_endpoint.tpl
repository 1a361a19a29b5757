{{/* How Prometheus scrapes: (dict "root" . "job" "noether" "node" true). What dashboards/prometheus.yml shows, for the operator. */}}
{{- define "noether.endpoint" -}}
{{- $monitoring := .root.Values.monitoring -}}
- port: metrics
  scheme: {{ include "noether.web.scheme" .root }}
  {{- with $monitoring.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with $monitoring.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with $monitoring.tlsConfig }}
  tlsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitoring.basicAuth }}
  {{- if .secretName }}
  basicAuth:
    username: {name: {{ .secretName }}, key: {{ .usernameKey }}}
    password: {name: {{ .secretName }}, key: {{ .passwordKey }}}
  {{- end }}
  {{- end }}
  # Our own namespace, pod and container are those of the workload.
  honorLabels: true
  relabelings:
    {{- if .node }}
    - {action: replace, sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}
    {{- end }}
    - {action: replace, targetLabel: job, replacement: {{ .job }}}
    {{- with .root.Values.cluster }}
    - {action: replace, targetLabel: cluster, replacement: {{ . | quote }}}
    {{- end }}
    # Those of the exporter's pod would stand on every series that has none.
    - {action: labeldrop, regex: namespace|pod|container}
    {{- with $monitoring.relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $monitoring.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
