{{/* Arithmetic on values. */}}

{{/* Seconds of a duration: 90s, 15m, 2160h, 30d or, as in cert-manager, 1h30m. */}}
{{- define "podgate.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[smhd]" (toString .) -1 -}}
{{- $sum = add $sum (mul (trimSuffix (. | trunc -1) . | int64) (get $unit (. | trunc -1))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* How many replicas evictions may remove at once. The API server rounds percentages up. */}}
{{- define "podgate.evictable" -}}
{{- $allowed := toString .Values.podDisruptionBudget.maxUnavailable -}}
{{- if hasSuffix "%" $allowed -}}
{{- div (add (mul .Values.replicas (trimSuffix "%" $allowed | int64)) 99) 100 -}}
{{- else -}}
{{- $allowed -}}
{{- end -}}
{{- end -}}
