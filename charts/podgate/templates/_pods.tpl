{{/* What the pods of podgate and of its tests have in common. */}}

{{/* No user is named: the image's is 65532, and OpenShift gives its own. */}}
{{- define "podgate.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "podgate.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* It covers what a drain may take, and a little for the process to end. */}}
{{- define "podgate.terminationGracePeriodSeconds" -}}
{{- add .Values.shutdownDelaySeconds .Values.drainTimeoutSeconds 5 -}}
{{- end -}}

{{/* What is said of the libraries podgate is made of stays at info: their debug output has bodies in it. */}}
{{- define "podgate.logFilter" -}}
{{- $level := .Values.logLevel -}}
{{- if has $level (list "debug" "trace") -}}
{{- printf "info,podgate=%s,kube_client=off,kube_runtime=off" $level -}}
{{- else -}}
{{- printf "%s,kube_client=off,kube_runtime=off" $level -}}
{{- end -}}
{{- end -}}

{{- define "podgate.defaultAffinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "podgate.selectorLabels" . | nindent 12 }}
{{- end -}}

{{/* Each rollout spreads by itself, not against the pods that it replaces. */}}
{{- define "podgate.defaultTopologySpread" -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "podgate.selectorLabels" . | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}
