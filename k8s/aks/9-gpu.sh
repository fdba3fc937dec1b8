#!/usr/bin/env bash
# Optional: a pool of GPU nodes that is empty while nothing wants one, what makes their GPUs known to Kubernetes, the
# image for GPUs, and its pods, whose models the CPU pods answer for.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

if no_gpu_pool; then
  say "GPU pool: 0 to $gpu_max nodes of $gpu_size"
  az aks nodepool add --resource-group "$group" --cluster-name "$cluster" --name gpu --mode User \
    --node-vm-size "$gpu_size" --node-taints sku=gpu:NoSchedule --labels sku=gpu \
    --enable-cluster-autoscaler --min-count 0 --max-count "$gpu_max" --node-count 0
fi
kubectl apply --filename "$here/device-plugin.yaml"
"$here/5-images.sh"
"$here/6-deploy.sh"
