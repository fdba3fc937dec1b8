# shellcheck shell=bash disable=SC2034 # used by the scripts
# What the numbered scripts share. Each stops at the first failure and may be run again: what is there stays as it is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"

export AZURE_CORE_OUTPUT=none AZURE_CORE_ONLY_SHOW_ERRORS=true
export KUBECONFIG=${AKS_KUBECONFIG:-$here/kubeconfig} # of this cluster only: kubectl cannot reach another by mistake
umask 077                                             # that file, and copies of secrets, are for this user alone

say() { echo "== $*"; }

# absent az ... show ...: is there no such thing? az ends with 3 where none is found; any other failure is a failure.
absent() {
  local code=0 message
  message=$("$@" 2>&1) || code=$?
  case $code in
    0) return 1 ;;
    3) return 0 ;;
    *) echo "$message" >&2; exit "$code" ;;
  esac
}

# A role that was just given, or a name that was just made, is known everywhere after minutes.
patiently() {
  local deadline=$((SECONDS + 600))
  until "$@"; do
    ((SECONDS < deadline)) || { echo "Given up after ten minutes: $1 $2 $3" >&2; return 1; }
    say "not yet; again in 15 s"
    sleep 15
  done
}

# grant ROLE SCOPE OBJECT_ID TYPE. az answers with the assignment that is there, if there is one.
grant() {
  az role assignment create --role "$1" --scope "$2" --assignee-object-id "$3" --assignee-principal-type "$4"
}

grant_operator() {
  [[ -n $operator ]] || operator=$(az ad signed-in-user show --query id --output tsv)
  grant "$1" "$2" "$operator" "$operator_type"
}

revision() { git -C "$root" rev-parse --short=12 HEAD; }

no_gpu_pool() { absent az aks nodepool show --resource-group "$group" --cluster-name "$cluster" --name gpu; }
