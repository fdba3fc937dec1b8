#!/usr/bin/env bash
# Replaces the key that signs tokens while everybody stays signed in: add, swap and drop, with a wait after each.
# The first line of the secret signs, every line verifies.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
az keyvault secret download --vault-name "$vault" --name token-key --file "$copies/now" --encoding utf-8
keys=$(grep -c . "$copies/now")

must_have() { ((keys == $1)) || { echo "The secret has $keys keys: run '$2' first." >&2; exit 1; }; }
case ${1:-} in
  add)
    must_have 1 drop
    { grep . "$copies/now"; openssl rand -base64 48; } >"$copies/next"
    next="When every pod has read it, after five minutes: $0 swap"
    ;;
  swap)
    must_have 2 add
    { sed -n 2p "$copies/now"; sed -n 1p "$copies/now"; } >"$copies/next"
    next="When the last token of the old key has expired, after an hour and five minutes: $0 drop"
    ;;
  drop)
    must_have 2 add
    sed -n 1p "$copies/now" >"$copies/next"
    next="The old key is void as soon as every pod has read this."
    ;;
  *) echo "usage: $0 add|swap|drop" >&2; exit 2 ;;
esac
az keyvault secret set --vault-name "$vault" --name token-key --file "$copies/next" --encoding utf-8
say "$next"
