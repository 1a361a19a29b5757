{{/* A VerticalPodAutoscaler: (dict "root" . "part" "node" "kind" "DaemonSet" "vpa" settings) */}}
{{- define "noether.vpa" -}}
{{- $name := printf "%s-%s" (include "noether.fullname" .root) .part -}}
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata:
  {{- include "noether.metadata" (dict "root" .root "part" .part "name" $name) | nindent 2 }}
spec:
  targetRef: {apiVersion: apps/v1, kind: {{ .kind }}, name: {{ $name }}}
  updatePolicy: {updateMode: {{ .vpa.updateMode | quote }}}
  resourcePolicy:
    containerPolicies:
      - containerName: noether
        {{- with .vpa.minAllowed }}
        minAllowed: {{ toJson . }}
        {{- end }}
        {{- with .vpa.maxAllowed }}
        maxAllowed: {{ toJson . }}
        {{- end }}
{{- end }}
