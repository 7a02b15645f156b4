#!/usr/bin/env bash
#
# Moves both programs to one image, in an order in which every failure can still be taken back:
#
#   1. control, without traffic             nobody sees it
#   2. smoke test on its own address        it answers, and it asks for a key
#   3. runners, by a staged split           sessions move from runner to runner; the old ones drain
#   4. traffic to control, pins lifted      done
#
# Whatever fails, SIGTERM and SIGINT included, traffic and split go back to where they were found.
#
#   PROJECT=p REGION=us-central1 NAME=mooring REPOSITORY=…/mooring IMAGE=…/mooring@sha256:… infra/deploy.sh
#
# Terraform puts this text into the trigger that an image push starts (infra/pipeline-deploy.tf): it stands alone.
#
# Optional: CONTROL_ACCESS=keys|iam, FIRST_SPLIT_PERCENT, SETTLE_SECONDS, READY_SECONDS, SMOKE_SECONDS, POLL_SECONDS.

set -Eeuo pipefail

: "${PROJECT:?}" "${REGION:?}" "${NAME:?}" "${REPOSITORY:?}" "${IMAGE:?}"
readonly CONTROL="$NAME-control" RUNNER="$NAME-runner" TAG="i-${IMAGE: -64:12}"
readonly CONTROL_ACCESS=${CONTROL_ACCESS:-keys}
readonly FIRST_SPLIT_PERCENT=${FIRST_SPLIT_PERCENT:-34}
readonly SETTLE_SECONDS=${SETTLE_SECONDS:-30}
readonly READY_SECONDS=${READY_SECONDS:-300} SMOKE_SECONDS=${SMOKE_SECONDS:-60} POLL_SECONDS=${POLL_SECONDS:-3}

say() { echo "deploy: $*"; }
die() {
  echo "deploy: $*" >&2
  exit 1
}

[[ "$IMAGE" =~ @sha256:[0-9a-f]{64}$ ]] || die "IMAGE must be a digest, since a tag may mean something else a minute later: $IMAGE"
[[ "${IMAGE%@*}" == "$REPOSITORY" ]] || die "IMAGE must be one of $REPOSITORY, which is where the build pushes to: $IMAGE"

run() { gcloud run "$@" "--project=$PROJECT" "--region=$REGION" --quiet; }

# "revision=percent,…" of everything that gets a share; entries that only carry a tag have none.
shares() { awk -F, '$2 > 0 { share[$1] += $2 } END { for (name in share) printf "%s%s=%d", comma++ ? "," : "", name, share[name] }'; }

control_shares() {
  run services describe "$CONTROL" '--flatten=status.traffic[]' \
    '--format=csv[no-heading](status.traffic.revisionName,status.traffic.percent)' | shares
}
runner_shares() {
  run worker-pools describe "$RUNNER" '--flatten=status.instanceSplits[]' \
    '--format=csv[no-heading](status.instanceSplits.revisionName,status.instanceSplits.percent)' | shares
}
newest_of() { run "$1" describe "$2" '--format=value(status.latestCreatedRevisionName)'; }

# --- what goes back on failure ----------------------------------------------------------------------------------------
control_before='' runner_before='' runner_touched=no control_touched=no

roll_back() {
  local status=$?
  trap - EXIT INT TERM
  set +e
  ((status != 0)) || exit 0
  local undone=yes
  say "failed with $status; rolling back"
  if [[ "$runner_touched" == yes ]]; then
    run worker-pools update-instance-split "$RUNNER" "--to-revisions=$runner_before" ||
      { undone=no && echo "deploy: by hand: gcloud run worker-pools update-instance-split $RUNNER --to-revisions=$runner_before --region=$REGION" >&2; }
  fi
  if [[ "$control_touched" == yes ]]; then
    run services update-traffic "$CONTROL" "--to-revisions=$control_before" ||
      { undone=no && echo "deploy: by hand: gcloud run services update-traffic $CONTROL --to-revisions=$control_before --region=$REGION" >&2; }
    # A tag that was never set can't be removed; that it is gone is all that matters.
    run services update-traffic "$CONTROL" "--remove-tags=$TAG" 2> /dev/null
  fi
  if [[ "$undone" == yes ]]; then say "rolled back to ${control_before:-the start} and ${runner_before:-the start}"; else echo 'deploy: THE ROLLBACK IS INCOMPLETE, see above' >&2; fi
  exit "$status"
}
trap roll_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

control_before=$(control_shares)
runner_before=$(runner_shares)
[[ -n "$control_before" && -n "$runner_before" ]] || die "$CONTROL or $RUNNER serves nothing yet; apply infra/ first"
say "found $control_before and $runner_before"

# --- 1. control, without traffic --------------------------------------------------------------------------------------
# No --tag here: with it gcloud writes a revision name into the template, which the next terraform apply would trip over.
control_touched=yes
run deploy "$CONTROL" "--image=$IMAGE" --no-traffic
control_new=$(newest_of services "$CONTROL")
run services update-traffic "$CONTROL" "--update-tags=$TAG=$control_new"
say "control: $control_new is up, without traffic"

# --- 2. smoke test ----------------------------------------------------------------------------------------------------
address=$(run services describe "$CONTROL" '--flatten=status.traffic[]' \
  '--format=csv[no-heading](status.traffic.tag,status.traffic.url)' | awk -F, -v tag="$TAG" '$1 == tag { print $2 }')
[[ -n "$address" ]] || die "the tag $TAG has no address"

# X-Serverless-Authorization is for the platform alone, so that Authorization stays free for Mooring's own keys.
headers=()
if [[ "$CONTROL_ACCESS" == iam ]]; then
  audience=$(run services describe "$CONTROL" '--format=value(status.url)')
  token=$(gcloud auth print-identity-token "--audiences=$audience")
  headers=(--header "X-Serverless-Authorization: Bearer $token")
fi

answers() { # answers <status> <path>
  local until=$((SECONDS + SMOKE_SECONDS)) got
  while true; do
    got=$(curl --silent --show-error --max-time 20 --output /dev/null --write-out '%{http_code}' "${headers[@]}" "$address$2") || got="no answer"
    [[ "$got" != "$1" ]] || return 0
    ((SECONDS < until)) || die "$2 should answer $1 and gave: $got"
    sleep "$POLL_SECONDS"
  done
}
answers 200 /health/live
answers 200 /health/ready
# A control service that lets strangers in must never get traffic.
answers 401 /v1/sessions
say 'control: the smoke test passed'

# --- 3. runners, by a staged split ------------------------------------------------------------------------------------
run worker-pools deploy "$RUNNER" "--image=$IMAGE" --no-promote
runner_new=$(newest_of worker-pools "$RUNNER")

runner_ready() {
  local until=$((SECONDS + READY_SECONDS)) condition
  while true; do
    condition=$(run worker-pools revisions describe "$runner_new" '--flatten=status.conditions[]' \
      '--format=csv[no-heading](status.conditions.type,status.conditions.status,status.conditions.message)' | grep '^Ready,' || true)
    case "$condition" in
      Ready,True*) return 0 ;;
      Ready,False*) die "runner: $runner_new does not start: ${condition#Ready,False,}" ;;
    esac
    ((SECONDS < until)) || die "runner: $runner_new is not ready after $READY_SECONDS s (${condition:-no condition})"
    sleep "$POLL_SECONDS"
  done
}

# One third first: the pool replaces what it moves at once, and two thirds of the sessions should not depend on a
# revision that nobody has seen run. A single runner can't be split.
instances=$(run worker-pools describe "$RUNNER" \
  '--format=value(metadata.annotations."run.googleapis.com/manualInstanceCount")')
runner_touched=yes
if [[ "$instances" =~ ^[0-9]+$ ]] && ((instances > 1)); then
  run worker-pools update-instance-split "$RUNNER" "--to-revisions=$runner_new=$FIRST_SPLIT_PERCENT"
  runner_ready
  say "runner: $runner_new holds $FIRST_SPLIT_PERCENT %"
  sleep "$SETTLE_SECONDS"
  runner_ready
fi
run worker-pools update-instance-split "$RUNNER" "--to-revisions=$runner_new=100"
runner_ready
say "runner: $runner_new holds everything"

# --- 4. traffic, and the pins lifted ----------------------------------------------------------------------------------
# "Latest" must mean ours: when another deploy has begun meanwhile, it is the other's to finish.
[[ "$(newest_of services "$CONTROL")" == "$control_new" ]] || die 'another deploy has made a newer control revision'
[[ "$(newest_of worker-pools "$RUNNER")" == "$runner_new" ]] || die 'another deploy has made a newer runner revision'
run services update-traffic "$CONTROL" --to-latest "--remove-tags=$TAG"
# Without this the pool stays pinned to a revision by name, and what Terraform changes later would never start.
run worker-pools update-instance-split "$RUNNER" --to-latest
say "done: $control_new and $runner_new run $IMAGE"
