{{/* Arithmetic on what values say. */}}

{{/* The seconds of 90s, 15m, 2160h, 30d or, as cert-manager has them, 1h30m. */}}
{{- define "podgate.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[smhd]" (toString .) -1 -}}
{{- $sum = add $sum (mul (trimSuffix (. | trunc -1) . | int64) (get $unit (. | trunc -1))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* How many replicas evictions may take at once. Of a percentage the API server rounds up. */}}
{{- define "podgate.evictable" -}}
{{- $allowed := toString .Values.podDisruptionBudget.maxUnavailable -}}
{{- if hasSuffix "%" $allowed -}}
{{- div (add (mul .Values.replicas (trimSuffix "%" $allowed | int64)) 99) 100 -}}
{{- else -}}
{{- $allowed -}}
{{- end -}}
{{- end -}}
