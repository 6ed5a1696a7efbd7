#!/usr/bin/env bash
# Runs the health check for Argo CD on statuses that podgate writes, and compares its copies in argocd-cm.yaml with it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
argocd=$here/../../../deploy/gitops/argocd
lua=$("$here/../debian.sh" lua5.4 lua5.4)
"$lua" "$here/health.lua" "$argocd/health.lua"

script=$(sed 's/^/    /' "$argocd/health.lua")
for kind in DevOpsPolicy ClusterDevOpsPolicy; do
  key="  resource.customizations.health.devops.stochastic.io_$kind: |"
  found=$(KEY="$key" awk '$0 == ENVIRON["KEY"] { on = 1; next } on && !/^    / { exit } on' "$argocd/argocd-cm.yaml")
  if [ "$found" != "$script" ]; then
    echo "$argocd/argocd-cm.yaml: the script for $kind differs from health.lua; copy health.lua into it" >&2
    exit 1
  fi
done
echo "Argo CD's health check is correct for every state of a policy"
