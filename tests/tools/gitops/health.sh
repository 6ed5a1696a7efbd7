#!/usr/bin/env bash
# The health check for Argo CD by a real Lua, on statuses as podgate writes them; and argocd-cm.yaml has this very text.
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
    echo "$argocd/argocd-cm.yaml: the health of $kind is not the text of health.lua" >&2
    exit 1
  fi
done
echo "Argo CD's health check tells every state of a policy"
