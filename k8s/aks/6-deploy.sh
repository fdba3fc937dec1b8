#!/usr/bin/env bash
# Installs cert-manager, fills in the overlay's values, applies it, gives the gateway its name, and waits for all of it.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

# cert-manager looks for the Gateway API once, at its start: the cluster has had it since it was made.
say "cert-manager $cert_manager"
helm upgrade --install cert-manager oci://quay.io/jetstack/charts/cert-manager --version "$cert_manager" \
  --namespace cert-manager --create-namespace --values "$here/cert-manager.yaml" --wait
kubectl apply --filename "$here/cert-manager-monitor.yaml"

login_server=$(az acr show --resource-group "$group" --name "$registry" --query loginServer --output tsv)
client_id=$(az identity show --resource-group "$group" --name "$identity" --query clientId --output tsv)
tenant_id=$(az account show --query tenantId --output tsv)
prometheus=$(az monitor account show --resource-group "$group" --name "$workspace" \
  --query metrics.prometheusQueryEndpoint --output tsv)
values=$root/k8s/overlays/aks/values.env
for value in "HOST=$host" "REGISTRY=$login_server" "CLIENT_ID=$client_id" "TENANT_ID=$tenant_id" "KEY_VAULT=$vault" \
  "STORAGE_ACCOUNT=$storage" "RESOURCE_GROUP=$group" "CONTAINER=$container" "ACME_EMAIL=$email" \
  "PROMETHEUS_ENDPOINT=$prometheus"; do
  sed -i "s|^${value%%=*}=.*|$value|" "$values"
done

# The overlay, with the images that 5-images.sh built, each held fast by its digest.
overlay=aks images=(tandem-cpu)
no_gpu_pool || { overlay=aks-gpu images+=(tandem-gpu); }
mkdir -p "$here/deploy"
{
  echo "resources: [../../overlays/$overlay]"
  echo "images:"
  for image in "${images[@]}"; do
    digest=$(az acr repository show --name "$registry" --image "$image:$(revision)" --query digest --output tsv) ||
      { echo "No $image of this commit: run 5-images.sh" >&2; exit 1; }
    echo "  - {name: $login_server/$image, digest: $digest}"
  done
} >"$here/deploy/kustomization.yaml"
say "k8s/overlays/$overlay at commit $(revision)"
kubectl apply --kustomize "$here/deploy"

say "the gateway's address"
kubectl --namespace tandem-gateway wait gateway/tandem --for condition=Programmed --timeout 10m
address=$(kubectl --namespace tandem-gateway get gateway tandem --output 'jsonpath={.status.addresses[0].value}')
if [[ $host == *".$location.cloudapp.azure.com" ]]; then
  nodes=$(az aks show --resource-group "$group" --name "$cluster" --query nodeResourceGroup --output tsv)
  public_ip=$(az network public-ip list --resource-group "$nodes" --query "[?ipAddress=='$address'].id" --output tsv)
  az network public-ip update --ids "$public_ip" --dns-name "${host%%.*}"
elif [[ -n $dns_zone ]]; then
  record=(--resource-group "$dns_group" --zone-name "$dns_zone")
  [[ $host == "$dns_zone" ]] && name=@ || name=${host%."$dns_zone"}
  now=$(az network dns record-set a list "${record[@]}" --query "[?name=='$name'].ARecords[].ipv4Address" --output tsv)
  if [[ $now != "$address" ]]; then
    az network dns record-set a delete "${record[@]}" --name "$name" --yes
    az network dns record-set a add-record "${record[@]}" --record-set-name "$name" --ipv4-address "$address" --ttl 300
  fi
else
  say "Make an A record now: $host is $address. The certificate waits for it."
fi

say "the pods"
for image in "${images[@]}"; do
  kubectl --namespace tandem rollout status "deployment/${image%-cpu}" --timeout 20m
done
say "the certificate"
kubectl --namespace tandem-gateway wait certificate --all --for condition=Ready --timeout 20m
say "https://$host/ is up"
