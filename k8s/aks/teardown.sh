#!/usr/bin/env bash
# Deletes the resource group and all that is in it, after asking.
#   teardown.sh [--yes]
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

if absent az group show --name "$group"; then
  say "There is no resource group $group."
  exit
fi
if [[ $(az group show --name "$group" --query 'tags."made-by"' --output tsv) != tandem-aks ]]; then
  echo "The resource group $group was not made by 1-cluster.sh: it may hold what is not Tandem's. Nothing is deleted." >&2
  exit 1
fi
az resource list --resource-group "$group" --query "[].{name: name, type: type}" --output table
if [[ ${1:-} != --yes ]]; then
  read -rp "All of this will be gone, the models too. Type the group's name to go on: " answer
  [[ $answer == "$group" ]] || { echo "Nothing is deleted." >&2; exit 1; }
fi
az group delete --name "$group" --yes
rm -f "$KUBECONFIG"
say "Gone. The key vault $vault keeps its name and secrets for seven days; 2-storage.sh would recover it."
[[ -z $dns_zone ]] || say "The record of $host in $dns_zone is still there."
