{{/* What all webhooks have; (dict "root" $ "path" "/validate"). caBundle is left to podgate, or to cert-manager. */}}
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
The namespaces that are left alone beside the cluster's and podgate's own. That
of cert-manager, where it makes the certificate: to renew one that has expired it
must run, and its pods must not wait for podgate, which waits for it.
*/}}
{{- define "podgate.protectedNamespaces" -}}
{{- $manager := ternary (list .Values.certificates.certManager.namespace) list (eq .Values.certificates.mode "cert-manager") -}}
{{- concat .Values.protectedNamespaces $manager | uniq | toYaml -}}
{{- end -}}

{{/* What the webhooks for workloads have beside that. */}}
{{- define "podgate.workloadWebhook" -}}
failurePolicy: {{ .Values.webhook.failurePolicy }}
# By the label that Kubernetes itself keeps, which no tenant can change.
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
