{{/* Shared by the pods of podgate, of helm test, and of the uninstall hook. */}}

{{/* Without runAsUser: the image's user is 65532, and OpenShift assigns its own. */}}
{{- define "podgate.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "podgate.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The longest drain, and five seconds for the process to exit. */}}
{{- define "podgate.terminationGracePeriodSeconds" -}}
{{- add .Values.shutdownDelaySeconds .Values.drainTimeoutSeconds 5 -}}
{{- end -}}

{{/* Libraries stay at level info: their debug logs contain bodies of objects. */}}
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

{{/* matchLabelKeys: a rollout spreads its new pods without counting the old ones. */}}
{{- define "podgate.defaultTopologySpread" -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "podgate.selectorLabels" . | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}
