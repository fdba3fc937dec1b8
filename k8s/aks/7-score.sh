#!/usr/bin/env bash
# Signs in and scores one row over HTTPS.
#   7-score.sh NAME   an account; its password is asked for, or read from standard input
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

name=${1:?usage: 7-score.sh NAME, an account}
fetch=(curl --silent --show-error --fail-with-body --max-time 60)

IFS= read -rsp "Password of $name: " password || [[ -n $password ]] # the last line of a pipe may lack its end
# The password and the token go through pipes: what is on a command line, others on this machine can read.
token=$(printf '%s' "$password" |
  "${fetch[@]}" --data grant_type=password --data-urlencode "username=$name" --data-urlencode password@- \
    "https://$host/auth/token" | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
printf 'Authorization: Bearer %s\n' "$token" |
  "${fetch[@]}" --header @- --header 'Content-Type: application/json' \
    --data '{"rows": [{"wt": 2.62, "hp": 110, "cyl": "6"}]}' "https://$host/v1/models/mpg/score"
echo
