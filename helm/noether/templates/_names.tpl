{{/* Names, labels and the image: what all objects share. */}}

{{- define "noether.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- /* Room for the parts' suffixes, within the 63 characters of a label. */ -}}
{{- default $whole .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* The labels by which a part's pods are selected: never to change. (list . "node") */}}
{{- define "noether.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "noether.labels" -}}
{{- $root := index . 0 -}}
{{ include "noether.selector" . }}
app.kubernetes.io/part-of: noether
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object: (dict "root" . "part" "node" "name" … ["namespace" …] ["cluster" true] ["labels" …] ["annotations" …]) */}}
{{- define "noether.metadata" -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ default .root.Release.Namespace .namespace }}
{{- end }}
labels:
  {{- include "noether.labels" (list .root .part) | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image's reference: (list image defaultTag) */}}
{{- define "noether.image" -}}
{{- $image := index . 0 -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default (index . 1) $image.tag }}{{ end }}
{{- end }}

{{- define "noether.node.serviceAccount" -}}
{{- default (ternary (printf "%s-node" (include "noether.fullname" .)) "default" .Values.node.serviceAccount.create) .Values.node.serviceAccount.name -}}
{{- end }}

{{- define "noether.grid.serviceAccount" -}}
{{- default (ternary (printf "%s-grid" (include "noether.fullname" .)) "default" .Values.grid.serviceAccount.create) .Values.grid.serviceAccount.name -}}
{{- end }}

{{- define "noether.priorityClass" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.priorityClass.create -}}
{{- default (include "noether.fullname" $root) (index . 1) -}}
{{- else -}}
{{- index . 1 -}}
{{- end -}}
{{- end }}

{{/* Whether the source of names asks for a token: "true" or nothing. */}}
{{- define "noether.node.token" -}}
{{- if has .Values.node.kubernetes.source (list "auto" "kubelet" "api") }}true{{ end -}}
{{- end }}
