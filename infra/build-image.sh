#!/usr/bin/env bash
#
# Builds the image with both bases pinned by digest, and pushes it under its commit. The registry tells of the push, by
# digest, and that starts the deploy (infra/pipeline-deploy.tf); nothing is handed over here.
#
#   REPOSITORY=us-central1-docker.pkg.dev/p/mooring/mooring COMMIT=… BUILDKIT_IMAGE=…@sha256:… infra/build-image.sh

set -euo pipefail

: "${REPOSITORY:?the image repository to push to}" "${COMMIT:?the commit that is built}" "${BUILDKIT_IMAGE:?the builder, by digest}"
[[ "$BUILDKIT_IMAGE" =~ @sha256:[0-9a-f]{64}$ ]] || {
  echo "BUILDKIT_IMAGE must be a digest, since the builder has the account's token: $BUILDKIT_IMAGE" >&2
  exit 1
}
# Only a tag of this form is deployed.
[[ "$COMMIT" =~ ^[0-9a-f]{40}$ ]] || {
  echo "COMMIT must be a whole commit id: $COMMIT" >&2
  exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The tags stand in the Dockerfile alone; a second list here would soon say something else.
tag_of() {
  local tag
  tag=$(sed -n "s/^ARG $1=//p" Dockerfile)
  [[ -n "$tag" ]] || {
    echo "the Dockerfile has no ARG $1" >&2
    return 1
  }
  echo "$tag"
}

digest_of() {
  local digest
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1")
  [[ "$digest" =~ ^sha256:[0-9a-f]{64}$ ]] || {
    echo "the registry gave no digest for $1 but: $digest" >&2
    return 1
  }
  echo "$digest"
}

node_tag=$(tag_of NODE_IMAGE)
base_tag=$(tag_of BASE_IMAGE)
node_digest=$(digest_of "$node_tag")
base_digest=$(digest_of "$base_tag")
echo "building with $node_tag ($node_digest)"
echo "building on   $base_tag ($base_digest)"

# A builder of its own, because the default one can't write a cache for all stages (mode=max) to a registry.
docker buildx create --name mooring --driver docker-container --driver-opt="image=$BUILDKIT_IMAGE" --use

# Attestations would wrap the image in an index that names a platform "unknown"; the plain manifest is what is deployed.
docker buildx build . \
  --platform=linux/amd64 \
  --provenance=false --sbom=false \
  --build-arg="NODE_IMAGE=$node_tag@$node_digest" \
  --build-arg="BASE_IMAGE=$base_tag@$base_digest" \
  --label="org.opencontainers.image.revision=$COMMIT" \
  --label="org.opencontainers.image.base.name=$base_tag" \
  --label="org.opencontainers.image.base.digest=$base_digest" \
  --label="mooring.node=$node_tag@$node_digest" \
  --cache-from="type=registry,ref=$REPOSITORY:cache" \
  --cache-to="type=registry,ref=$REPOSITORY:cache,mode=max,image-manifest=true" \
  --tag="$REPOSITORY:$COMMIT" \
  --push
