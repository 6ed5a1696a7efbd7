{{/* Names and labels. */}}

{{- define "podgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the Deployment, the Service and most other objects. --release passes it to podgate. */}}
{{- define "podgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "podgate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "podgate.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "podgate.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "podgate.fullname" .) -}}
{{- end -}}

{{/* Labels of podgate's pods. The component keeps the pod of `helm test` out of the Service. */}}
{{- define "podgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "podgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* Labels of all objects except pods, whose labels must not change with the chart's version. */}}
{{- define "podgate.labels" -}}
{{- include "podgate.labelsWith" (list . dict) -}}
{{- end -}}

{{/* The same with additional labels, (list $ labels). If two labels have the same key, the more specific one wins. */}}
{{- define "podgate.labelsWith" -}}
{{- $root := first . -}}
{{- $own := dict
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/part-of" "podgate"
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
-}}
{{- merge (dict) (last .) $root.Values.commonLabels $own (include "podgate.selectorLabels" $root | fromYaml) | toYaml -}}
{{- end -}}

{{/*
The release's namespace owns cluster-scoped objects, so that Kubernetes removes them if somebody deletes the namespace
instead of the release: Helm's record of the release is in that namespace. The template does not know the namespace's uid
without a cluster (helm template), nor if helm install creates the namespace.
*/}}
{{- define "podgate.ownedByNamespace" -}}
{{- with lookup "v1" "Namespace" "" .Release.Namespace }}
  ownerReferences:
    - apiVersion: v1
      kind: Namespace
      name: {{ .metadata.name }}
      uid: {{ .metadata.uid }}
{{- end }}
{{- end -}}

{{- define "podgate.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
