#!/usr/bin/env bash
#
# Asks the registries which digests the tags of step-images.json stand for today, and writes them to
# step-images.auto.tfvars.json, which Terraform reads by itself. Commit that file. Nothing is written unless every image
# has a digest.
#
#   infra/pin-images.sh

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
readonly TAGS=${TAGS:-step-images.json} OUT=${OUT:-step-images.auto.tfvars.json}

# An index of several platforms where there is one: Cloud Build picks from it, and its digest is what a tag stands for.
readonly ACCEPT='Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'

ask() { curl --silent --show-error --location --max-time 20 "$@"; }
header() { sed -n "s/^$1: *//Ip" <<< "$2" | tr -d '\r' | tail -n 1; }
part() { sed -n "s/.*$1=\"\([^\"]*\)\".*/\1/p" <<< "$2"; }

# The distribution protocol: HEAD of a manifest answers with its digest; a registry that wants a token, also for what
# everybody may read, says where it is given (https://distribution.github.io/distribution/spec/auth/token/).
digest_of() {
  local host=${1%%/*} name=${1#*/} answer challenge token digest
  local tag=${name##*:}
  name=${name%:*}
  # The one registry whose address is not its name.
  [[ "$host" != docker.io ]] || host=registry-1.docker.io
  local manifest=https://$host/v2/$name/manifests/$tag
  answer=$(ask --head --header "$ACCEPT" "$manifest")
  challenge=$(header www-authenticate "$answer")
  if [[ -n "$challenge" ]]; then
    token=$(ask --get --data-urlencode "service=$(part service "$challenge")" \
      --data-urlencode "scope=repository:$name:pull" "$(part realm "$challenge")" |
      sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
    answer=$(ask --head --header "$ACCEPT" --header "Authorization: Bearer $token" "$manifest")
  fi
  digest=$(header docker-content-digest "$answer")
  [[ "$digest" =~ ^sha256:[0-9a-f]{64}$ ]] || {
    echo "$host gave no digest for $name:$tag but: ${answer%%$'\n'*}" >&2
    return 1
  }
  echo "$digest"
}

lines=()
while IFS=$'\t' read -r name tag; do
  digest=$(digest_of "$tag")
  echo "$name: $tag is $digest"
  lines+=("    \"$name\": \"$tag@$digest\"")
done < <(sed -n 's/^ *"\([a-z]*\)": "\([^"]*\)".*/\1\t\2/p' "$TAGS")

{
  printf '{\n  "step_images": {\n'
  (IFS=$'\n' && printf '%s\n' "${lines[*]}" | sed '$!s/$/,/')
  printf '  }\n}\n'
} > "$OUT"
