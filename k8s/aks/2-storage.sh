#!/usr/bin/env bash
# Where models and secrets lie, and the identity by which Tandem's pods may read them.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

if absent az storage account show --resource-group "$group" --name "$storage"; then
  say "storage account $storage"
  # No shared keys: pods and people come by their own identity, and what they may do is said by roles.
  az storage account create --resource-group "$group" --name "$storage" --location "$location" \
    --kind StorageV2 --sku Standard_ZRS --https-only true --min-tls-version TLS1_2 \
    --allow-shared-key-access false --allow-blob-public-access false
fi
# A model that was overwritten or deleted by mistake can be had back for two weeks.
az storage account blob-service-properties update --resource-group "$group" --account-name "$storage" \
  --enable-versioning true --enable-delete-retention true --delete-retention-days 14
if absent az storage container-rm show --resource-group "$group" --storage-account "$storage" --name "$container"; then
  say "container $container"
  az storage container-rm create --resource-group "$group" --storage-account "$storage" --name "$container"
fi

if absent az keyvault show --resource-group "$group" --name "$vault"; then
  # A deleted vault keeps its name, and its secrets, for some days: so it comes back with both.
  deleted=$(az keyvault list-deleted --resource-type vault --query "[?name=='$vault'].id" --output tsv)
  if [[ -z $deleted ]]; then
    say "key vault $vault"
    az keyvault create --resource-group "$group" --name "$vault" --location "$location" \
      --enable-rbac-authorization true --retention-days 7
  else
    say "key vault $vault: it was deleted, and is recovered"
    az keyvault recover --resource-group "$group" --name "$vault" --location "$location"
  fi
fi

if absent az identity show --resource-group "$group" --name "$identity"; then
  say "identity $identity"
  az identity create --resource-group "$group" --name "$identity" --location "$location"
fi

# trust NAME SUBJECT: who has this service account in the cluster may act as the identity.
issuer=$(az aks show --resource-group "$group" --name "$cluster" --query oidcIssuerProfile.issuerUrl --output tsv)
trust() {
  if absent az identity federated-credential show --resource-group "$group" --identity-name "$identity" --name "$1"; then
    az identity federated-credential create --resource-group "$group" --identity-name "$identity" --name "$1" \
      --issuer "$issuer" --subject "$2" --audiences api://AzureADTokenExchange
  fi
}
trust tandem system:serviceaccount:tandem:tandem
trust keda system:serviceaccount:kube-system:keda-operator # asks managed Prometheus how long requests wait

principal=$(az identity show --resource-group "$group" --name "$identity" --query principalId --output tsv)
storage_id=$(az storage account show --resource-group "$group" --name "$storage" --query id --output tsv)
vault_id=$(az keyvault show --resource-group "$group" --name "$vault" --query id --output tsv)
workspace_id=$(az monitor account show --resource-group "$group" --name "$workspace" --query id --output tsv)
grant "Storage Blob Data Reader" "$storage_id/blobServices/default/containers/$container" "$principal" ServicePrincipal
grant "Key Vault Secrets User" "$vault_id" "$principal" ServicePrincipal
grant "Monitoring Data Reader" "$workspace_id" "$principal" ServicePrincipal
grant_operator "Storage Blob Data Contributor" "$storage_id"
grant_operator "Key Vault Secrets Officer" "$vault_id"
