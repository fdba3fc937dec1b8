#!/usr/bin/env bash
# Builds the image of the last commit, and the one for GPUs where there is a pool for it.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
git -C "$root" archive HEAD | tar -x -C "$context"
rm -f "$context/.dockerignore" # it keeps the task out too; here is nothing that git does not have

# image TARGET TORCH
image() {
  local revision
  revision=$(revision)
  ! az acr repository show --name "$registry" --image "tandem-$1:$revision" >/dev/null 2>&1 || return 0
  say "tandem-$1:$revision, built by $builder"
  if [[ $builder == registry ]]; then
    az acr run --registry "$registry" --file k8s/aks/build.yaml --platform linux/amd64 --timeout 3600 \
      --set "target=$1" --set "revision=$revision" --set "torch=$2" "$context"
  else
    local name
    name=$(az acr show --resource-group "$group" --name "$registry" --query loginServer --output tsv)/tandem-$1:$revision
    docker build --platform linux/amd64 --file "$context/docker/Dockerfile" --target "$1" \
      --build-arg "REVISION=$revision" --build-arg "TORCH=$2" --tag "$name" "$context"
    az acr login --name "$registry"
    docker push "$name"
  fi
}

image cpu ""
no_gpu_pool || image gpu "$torch"
