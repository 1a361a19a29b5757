{{/* The DaemonSet that measures: (dict "root" . "gpu" false). Nodes with GPUs may have one of their own. */}}

{{- define "noether.node.args" -}}
{{- $root := .root -}}
{{- $node := $root.Values.node -}}
- node
- --path.sysfs=/host/sys
- --path.rootfs=/host
{{- if .access.hostProc }}
- --path.procfs=/host/proc
{{- end }}
{{- include "noether.flags" (list
    (list "web.listen-address" (ternary "" (printf ":%v" $node.port) (eq (int $node.port) 18823)))
    (list "kubernetes" $node.kubernetes.source)
    (list "kubernetes.pod-labels" $node.kubernetes.podLabels)
    (list "kubernetes.pod-annotations" $node.kubernetes.podAnnotations)
    (list "kubernetes.identity-timeout" $node.kubernetes.identityTimeout)
    (list "sample.interval" $node.sampleInterval)
    (list "workload.max" $node.workloads.max)
    (list "workload.linger" $node.workloads.linger)
    (list "workload.zero-hold" $node.workloads.zeroHold)
    (list "systemd.units" $node.workloads.systemdUnits)
    (list "attribution.idle" $node.attribution.idle)
    (list "attribution.idle-watts" $node.attribution.idleWatts)
    (list "grid.zone" (default $root.Values.zone $node.zone))) }}
{{- if has $node.kubernetes.source (list "auto" "kubelet") }}
- {{ printf "--kubernetes.kubelet-url=%s" $node.kubernetes.kubeletURL | quote }}
{{- if $node.kubernetes.kubeletCAConfigMapName }}
- --kubernetes.kubelet-ca-file=/etc/noether/kubelet-ca/{{ $node.kubernetes.kubeletCAConfigMapKey }}
{{- end }}
{{- end }}
{{- range $meter, $switch := $node.meters }}
{{- if ne $switch "auto" }}
- --meter.{{ $meter }}={{ $switch }}
{{- end }}
{{- end }}
{{- include "noether.common.args" $root }}
{{- if not $root.Values.grid.enabled }}
{{- include "noether.prices" $root }}
{{- end }}
{{- with $node.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "noether.node.env" -}}
{{- $root := .root -}}
- name: NOETHER_NODE_NAME
  valueFrom:
    fieldRef: {fieldPath: spec.nodeName}
{{- if has $root.Values.node.kubernetes.source (list "auto" "kubelet") }}
- name: NODE_IP
  valueFrom:
    fieldRef: {fieldPath: status.hostIP}
{{- end }}
{{- if .gpu }}
- {name: NVIDIA_VISIBLE_DEVICES, value: all}
- {name: NVIDIA_DRIVER_CAPABILITIES, value: utility}
{{- end }}
{{- include "noether.otlp.env" (list $root (dict "k8s.node.name" "$(NOETHER_NODE_NAME)")) }}
{{- with $root.Values.node.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What is mounted of the host, each read-only: name, path on the host, path below /host, and the folder's type. */}}
{{- define "noether.node.host" -}}
{{- $node := .root.Values.node -}}
{{- $kubelet := $node.kubernetes -}}
{{- $mounts := list (list "sys" "/sys" "sys" "Directory") -}}
{{- if .access.hostProc -}}
{{- $mounts = append $mounts (list "proc" "/proc" "proc" "Directory") -}}
{{- end -}}
{{- if has $kubelet.source (list "auto" "pods-api") -}}
{{- /* Made where it is not there yet: the kubelet that comes with the next version puts its socket in it. */ -}}
{{- $mounts = append $mounts (list "pods-api" (printf "%s/pods-api" $kubelet.kubeletFolder) "var/lib/kubelet/pods-api" "DirectoryOrCreate") -}}
{{- end -}}
{{- if or .gpu $kubelet.podResources -}}
{{- $mounts = append $mounts (list "pod-resources" (printf "%s/pod-resources" $kubelet.kubeletFolder) "var/lib/kubelet/pod-resources" "DirectoryOrCreate") -}}
{{- end -}}
{{- if $node.slurm.enabled -}}
{{- $mounts = append $mounts (list "slurm" $node.slurm.folder "run/noether" "DirectoryOrCreate") -}}
{{- end -}}
{{- toJson $mounts -}}
{{- end }}

{{/* With a DaemonSet for GPUs, the other one keeps off their nodes. */}}
{{- define "noether.node.affinity" -}}
{{- $node := .root.Values.node -}}
{{- $affinity := deepCopy (default (dict) $node.affinity) -}}
{{- if and $node.gpu.enabled (not .gpu) -}}
{{- $off := list -}}
{{- range $label, $value := $node.gpu.nodeSelector -}}
{{- $off = append $off (dict "key" $label "operator" "NotIn" "values" (list $value)) -}}
{{- end -}}
{{- $nodes := default (dict) $affinity.nodeAffinity -}}
{{- $required := default (dict) $nodes.requiredDuringSchedulingIgnoredDuringExecution -}}
{{- $terms := list -}}
{{- /* A node has GPUs only where it has all of these labels, so lacking any one is enough: a term for each. */ -}}
{{- range $one := $off -}}
{{- range $term := default (list (dict)) $required.nodeSelectorTerms -}}
{{- $both := concat (default (list) $term.matchExpressions) (list $one) -}}
{{- $terms = append $terms (set (deepCopy $term) "matchExpressions" $both) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $nodes "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) -}}
{{- $_ := set $affinity "nodeAffinity" $nodes -}}
{{- end -}}
{{- toJson $affinity -}}
{{- end }}

{{- define "noether.node.daemonset" -}}
{{- $root := .root -}}
{{- $gpu := .gpu -}}
{{- $node := $root.Values.node -}}
{{- $part := ternary "node-gpu" "node" $gpu -}}
{{- $access := ternary (dict "hostProc" $node.access.hostProc "hostPID" $node.gpu.hostPID "ptrace" $node.gpu.ptrace) $node.access $gpu -}}
{{- $context := dict "root" $root "gpu" $gpu "access" $access -}}
{{- $host := include "noether.node.host" $context | fromJsonArray -}}
{{- $affinity := include "noether.node.affinity" $context | fromJson -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  {{- include "noether.metadata" (dict "root" $root "part" $part "name" (printf "%s-%s" (include "noether.fullname" $root) $part)) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "noether.selector" (list $root $part) | nindent 6 }}
  updateStrategy:
    {{- toYaml $node.updateStrategy | nindent 4 }}
  template:
    metadata:
      labels:
        {{- include "noether.labels" (list $root $part) | nindent 8 }}
        noether.dev/exporter: node
        {{- with $node.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $node.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "noether.node.serviceAccount" $root }}
      automountServiceAccountToken: {{ ternary "true" "false" (eq (include "noether.node.token" $root) "true") }}
      enableServiceLinks: false
      hostNetwork: false
      hostPID: {{ $access.hostPID }}
      hostIPC: false
      {{- if and $gpu $node.gpu.runtimeClassName }}
      runtimeClassName: {{ $node.gpu.runtimeClassName }}
      {{- end }}
      securityContext:
        {{- toYaml $node.podSecurityContext | nindent 8 }}
        {{- with $root.Values.openshift.seLinuxOptions }}
        seLinuxOptions:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      {{- include "noether.placement" (list $root $node) | trim | nindent 6 }}
      {{- $selector := default (dict) $node.nodeSelector }}
      {{- with ternary (merge (dict) (default (dict) $node.gpu.nodeSelector) $selector) $selector $gpu }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: noether
          image: {{ include "noether.image" (list $root.Values.image $root.Chart.AppVersion) | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args:
            {{- include "noether.node.args" $context | trim | nindent 12 }}
          env:
            {{- include "noether.node.env" $context | trim | nindent 12 }}
          ports:
            - {name: metrics, containerPort: {{ $node.port }}, protocol: TCP}
          livenessProbe:
            {{- include "noether.web.probe" (list $root "/-/healthy" $node.livenessProbe) | trim | nindent 12 }}
          readinessProbe:
            {{- include "noether.web.probe" (list $root "/-/ready" $node.readinessProbe) | trim | nindent 12 }}
          resources:
            {{- toYaml (ternary $node.gpu.resources $node.resources $gpu) | nindent 12 }}
          securityContext:
            {{- include "noether.securityContext" (list $node.securityContext (ternary (list "SYS_PTRACE") (list) $access.ptrace)) | nindent 12 }}
          volumeMounts:
            {{- range $host }}
            - name: host-{{ index . 0 }}
              mountPath: /host/{{ index . 2 }}
              readOnly: true
              {{- if ne $node.access.recursiveReadOnly "Disabled" }}
              recursiveReadOnly: {{ $node.access.recursiveReadOnly }}
              {{- end }}
            {{- end }}
            {{- if and (has $node.kubernetes.source (list "auto" "kubelet")) $node.kubernetes.kubeletCAConfigMapName }}
            - {name: kubelet-ca, mountPath: /etc/noether/kubelet-ca, readOnly: true}
            {{- end }}
            {{- with include "noether.web.mounts" $root | trim }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with include "noether.otlp.mounts" $root | trim }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $node.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- range $host }}
        - name: host-{{ index . 0 }}
          hostPath: {path: {{ index . 1 | quote }}, type: {{ index . 3 }}}
        {{- end }}
        {{- if and (has $node.kubernetes.source (list "auto" "kubelet")) $node.kubernetes.kubeletCAConfigMapName }}
        - name: kubelet-ca
          configMap: {name: {{ $node.kubernetes.kubeletCAConfigMapName }}}
        {{- end }}
        {{- with include "noether.web.volumes" $root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with include "noether.otlp.volumes" $root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $node.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
