{{/* Fields of all webhooks, (dict "root" $ "path" "/validate"). podgate or cert-manager writes caBundle. */}}
{{- define "podgate.webhook" -}}
clientConfig:
  service:
    name: {{ include "podgate.fullname" .root }}
    namespace: {{ .root.Release.Namespace | quote }}
    path: {{ .path }}
    port: {{ .root.Values.service.port }}
matchPolicy: Equivalent
sideEffects: None
timeoutSeconds: {{ .timeoutSeconds | default .root.Values.webhook.timeoutSeconds }}
admissionReviewVersions: [v1]
{{- end -}}

{{/*
Namespaces that podgate does not judge, in addition to Kubernetes' and podgate's own. In mode cert-manager also that of
cert-manager: to renew an expired certificate, cert-manager must be able to start while podgate is unavailable.
*/}}
{{- define "podgate.protectedNamespaces" -}}
{{- $manager := ternary (list .Values.certificates.certManager.namespace) list (eq .Values.certificates.mode "cert-manager") -}}
{{- concat .Values.protectedNamespaces $manager | uniq | toYaml -}}
{{- end -}}

{{/* Additional fields of the webhooks for workloads. */}}
{{- define "podgate.workloadWebhook" -}}
failurePolicy: {{ .Values.webhook.failurePolicy }}
# Kubernetes maintains this label; no tenant can change it.
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- concat (list "kube-system" "kube-node-lease" "kube-public" .Release.Namespace) (include "podgate.protectedNamespaces" . | fromYamlArray) | uniq | toYaml | nindent 8 }}
{{- with .Values.webhook.matchConditions }}
matchConditions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "podgate.webhookAnnotations" -}}
{{- if eq .Values.certificates.mode "cert-manager" }}
  annotations:
    cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "podgate.fullname" . }}
{{- end }}
{{- end -}}
