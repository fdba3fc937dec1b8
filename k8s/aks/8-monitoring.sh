#!/usr/bin/env bash
# Recording and alert rules for managed Prometheus, whom alerts are sent to, and the dashboards.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

if absent az monitor action-group show --resource-group "$group" --name tandem; then
  say "alerts go to $email"
  az monitor action-group create --resource-group "$group" --name tandem --short-name tandem \
    --action email operator "$email" usecommonalertschema
fi
action_group=$(az monitor action-group show --resource-group "$group" --name tandem --query id --output tsv)
workspace_id=$(az monitor account show --resource-group "$group" --name "$workspace" --query id --output tsv)

say "rules"
az deployment group create --resource-group "$group" --name tandem-rules \
  --template-file "$root/k8s/monitoring/azure-rules.json" \
  --parameters "workspace=$workspace_id" "cluster=$cluster" "actionGroups=[\"$action_group\"]"

for dashboard in "$root"/k8s/monitoring/dashboards/*.json; do
  say "dashboard $(basename "$dashboard" .json)"
  az grafana dashboard import --resource-group "$group" --name "$grafana" --definition "$dashboard" --overwrite true
done
say "$(az grafana show --resource-group "$group" --name "$grafana" --query properties.endpoint --output tsv)"
