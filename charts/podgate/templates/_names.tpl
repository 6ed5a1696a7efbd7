{{/* Names and labels. */}}

{{- define "podgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the Deployment, the Service and most else; podgate is told it by --release. */}}
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

{{/* The pods that decide. The component keeps a test's pod out of the Service. */}}
{{- define "podgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "podgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* Labels of every object but pods, whose labels must not change with the chart's version. */}}
{{- define "podgate.labels" -}}
{{- include "podgate.labelsWith" (list . dict) -}}
{{- end -}}

{{/* The same and more, (list $ labels): of two labels with one key the more special one counts. */}}
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
Objects of the cluster are owned by the release's namespace, so that they go too
where somebody deletes it instead of the release: Helm's own record of what to
uninstall is in there. A template cannot know the namespace where there is no
cluster (helm template), nor where helm install is only about to make it.
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
