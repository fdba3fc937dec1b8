#!/usr/bin/env bash
# Puts models into the container that the pods read.
#   4-models.sh [--gpu] [MODEL...]   files, with the sidecar and signature beside them, or folders of scoring scripts;
#                                    --gpu: for the pods with a GPU; no MODEL: the example mpg
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

place=
[[ ${1:-} != --gpu ]] || { place=gpu/; shift; }
(($#)) || set -- "$root/r_models/mpg.rds"
upload=(--account-name "$storage" --auth-mode login --overwrite --no-progress)
for model in "$@"; do
  [[ -e $model ]] || { echo "There is no $model; 'make setup' trains the examples." >&2; exit 1; }
  [[ $model == *.rds ]] && folder=${place}r || folder=${place}python
  say "$folder/$(basename "$model")"
  if [[ -d $model ]]; then
    patiently az storage blob upload-batch "${upload[@]}" \
      --source "$model" --destination "$container" --destination-path "$folder/$(basename "$model")"
    continue
  fi
  # The model last: it is looked at as soon as it is there, together with what lies beside it.
  for file in "${model%.*}.yaml" "$model.sig" "$model"; do
    [[ -e $file ]] || continue
    patiently az storage blob upload "${upload[@]}" \
      --container-name "$container" --file "$file" --name "$folder/$(basename "$file")"
  done
done
