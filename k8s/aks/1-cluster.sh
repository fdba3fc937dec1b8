#!/usr/bin/env bash
# The resource group, the registry, where metrics go, the cluster with its CPU pool, and your way into it.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

# Once a subscription: an empty one does not know these services yet.
for provider in ContainerService ContainerRegistry Compute Network Storage KeyVault ManagedIdentity Monitor Dashboard \
  Insights AlertsManagement; do
  az provider register --namespace "Microsoft.$provider" --wait
done
az extension add --name amg --upgrade # az grafana

if absent az group show --name "$group"; then
  say "resource group $group in $location"
  # teardown.sh deletes no group without this tag.
  az group create --name "$group" --location "$location" --tags made-by=tandem-aks
fi

if absent az acr show --resource-group "$group" --name "$registry"; then
  say "registry $registry"
  az acr create --resource-group "$group" --name "$registry" --location "$location" --sku Standard --admin-enabled false
fi

if absent az monitor account show --resource-group "$group" --name "$workspace"; then
  say "managed Prometheus: workspace $workspace"
  az monitor account create --resource-group "$group" --name "$workspace" --location "$location"
fi
workspace_id=$(az monitor account show --resource-group "$group" --name "$workspace" --query id --output tsv)

if absent az grafana show --resource-group "$group" --name "$grafana"; then
  say "managed Grafana $grafana"
  az grafana create --resource-group "$group" --name "$grafana" --location "$location"
fi
grafana_id=$(az grafana show --resource-group "$group" --name "$grafana" --query id --output tsv)

if absent az aks show --resource-group "$group" --name "$cluster"; then
  say "cluster $cluster: about ten minutes"
  # The taint keeps everything but Azure's own add-ons off the system pool. The pods' network is the one whose addresses
  # Tandem believes as a proxy's. Nobody signs in by a certificate: who may do what is said by Azure roles.
  az aks create --resource-group "$group" --name "$cluster" --location "$location" \
    --kubernetes-version "$kubernetes" --tier standard \
    --auto-upgrade-channel patch --node-os-upgrade-channel NodeImage \
    --nodepool-name system --node-vm-size "$system_size" --node-count "$system_count" "${zones[@]}" \
    --nodepool-taints CriticalAddonsOnly=true:NoSchedule \
    --network-plugin azure --network-plugin-mode overlay --network-dataplane cilium --network-policy cilium \
    --pod-cidr 10.244.0.0/16 \
    --enable-aad --enable-azure-rbac --disable-local-accounts --no-ssh-key \
    --enable-oidc-issuer --enable-workload-identity \
    --enable-gateway-api --enable-app-routing-istio --enable-keda --enable-blob-driver \
    --enable-addons azure-keyvault-secrets-provider --enable-secret-rotation --rotation-poll-interval 2m \
    --enable-azure-monitor-metrics --azure-monitor-workspace-resource-id "$workspace_id" \
    --grafana-resource-id "$grafana_id" --attach-acr "$registry"
fi

if absent az aks nodepool show --resource-group "$group" --cluster-name "$cluster" --name cpu; then
  say "CPU pool: $cpu_min to $cpu_max nodes of $cpu_size"
  az aks nodepool add --resource-group "$group" --cluster-name "$cluster" --name cpu --mode User \
    --node-vm-size "$cpu_size" "${zones[@]}" --max-surge 1 \
    --enable-cluster-autoscaler --min-count "$cpu_min" --max-count "$cpu_max" --node-count "$cpu_min"
fi

cluster_id=$(az aks show --resource-group "$group" --name "$cluster" --query id --output tsv)
grant_operator "Azure Kubernetes Service RBAC Cluster Admin" "$cluster_id"
az aks get-credentials --resource-group "$group" --name "$cluster" --file "$KUBECONFIG" --overwrite-existing
kubelogin convert-kubeconfig --login azurecli
say "export KUBECONFIG=$KUBECONFIG"
