#!/usr/bin/env bash
#
# Rehearses the image without Docker: performs the Dockerfile's steps in a scratch directory and starts the result the
# way Cloud Run would (unprivileged user, read-only root, files in memory, PID 1, SIGTERM, ten seconds).
#
#   infra/rehearse-image.sh                       everything, with the production install
#   infra/rehearse-image.sh --program FILE        FILE in place of the program, without an install (tests this script)
#
# Needs Linux, root (for the namespaces; the program itself runs as 65532) and the Node that the tests run on.
# Prints one line per promise and ends with 1 at the first that is broken.

set -euo pipefail

readonly STOP_WITHIN_SECONDS=10
readonly READY_WITHIN_SECONDS=60
readonly USER_ID=65532
# What the container would be given; the heap must follow it.
readonly MEMORY_MIB=512

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=''
if [[ "${1:-}" == '--program' ]]; then
  program=$(realpath "$2")
fi

if ((EUID != 0)); then
  echo 'skipped: namespaces and the change of user need root' >&2
  exit 77
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mooring-image.XXXXXX")
group=''
outer=''

clean_up() {
  local status=$?
  if [[ -n "$outer" ]]; then
    # The child first: a change of user clears the signal that it should get with its parent's end.
    pkill -KILL -P "$outer" || kill -KILL "$outer" 2> /dev/null || true
    wait "$outer" 2> /dev/null || true
  fi
  if [[ -n "$group" ]]; then rmdir "$group" 2> /dev/null || true; fi
  if ((status != 0)) && [[ -s "$scratch/log" ]]; then
    echo '--- the last lines of the program:' >&2
    tail -n 20 "$scratch/log" >&2
  fi
  rm -rf "$scratch"
}
trap clean_up EXIT

say() { printf '%-52s %s\n' "$1" "$2"; }
fail() {
  echo "broken: $*" >&2
  exit 1
}

# --- the Dockerfile's steps -------------------------------------------------------------------------------------------
app=$scratch/app
mkdir -p "$app"
node=$(readlink -f "$(command -v node)")

if [[ -n "$program" ]]; then
  cp "$program" "$app/mooring.ts"
  printf '{"type":"module"}\n' > "$app/package.json"
else
  cp "$root/package.json" "$root/package-lock.json" "$root/.npmrc" "$app/"
  (cd "$app" && npm ci --omit=dev --ignore-scripts --no-update-notifier --loglevel=error)
  cp "$root/mooring.ts" "$app/"
  cp -R "$root/cli" "$root/shared" "$root/control" "$root/runner" "$app/"
  mkdir "$app/infra"
  cp "$root/infra/warm.ts" "$app/infra/"
  find "$app" -path "$app/node_modules" -prune -o -name '*.test.ts' -exec rm {} +
  say 'production install' "$(du -sm "$app/node_modules" | cut -f1) MB, $(find "$app/node_modules" -name package.json -not -path '*/node_modules/*/node_modules/*/*/*' | wc -l) package files"
  if [[ -e "$app/node_modules/vitest" || -e "$app/node_modules/typescript" ]]; then
    fail 'the production install holds development packages'
  fi
fi
mkdir "$app/.compile-cache"
# A file that only root can read here would be one that only root can read in the image.
chmod -R u=rwX,go=rX "$app"
chmod 755 "$scratch"
chown "$USER_ID:$USER_ID" "$app/.compile-cache"

# --- the container ----------------------------------------------------------------------------------------------------
# A memory limit where the machine lets us set one; without it the heap is measured against the whole machine.
limit_memory() {
  local path=/sys/fs/cgroup file=memory.max
  if [[ -d /sys/fs/cgroup/memory ]]; then
    path=/sys/fs/cgroup/memory file=memory.limit_in_bytes
  fi
  if mkdir "$path/mooring-$$" 2> /dev/null; then
    group="$path/mooring-$$"
    if echo $((MEMORY_MIB * 1024 * 1024)) > "$group/$file" 2> /dev/null; then return 0; fi
    rmdir "$group" && group=''
  fi
  return 1
}
limit_memory || say 'memory limit' 'not set (no writable cgroup here)'

# The root is made of nothing but the system's libraries, Node and the application, all read-only, with one tmpfs as the
# work directory: the layout of the image with the service's empty_dir. The tmpfs carries the embedded store too, since
# a rehearsal has no other.
cat > "$scratch/inside.sh" << 'INSIDE'
set -euo pipefail
[[ -z "$CGROUP" ]] || echo 0 > "$CGROUP/cgroup.procs"
mount --make-rprivate /
root=$SCRATCH/root
mkdir "$root"
mount -t tmpfs -o mode=0755 tmpfs "$root"
mkdir -p "$root"/{app,dev,etc,proc,sys/fs/cgroup,tmp,usr,scratch}
for link in bin lib lib64 sbin; do
  if [[ -L "/$link" ]]; then cp -P "/$link" "$root/$link"; elif [[ -d "/$link" ]]; then mkdir "$root/$link" && mount --bind "/$link" "$root/$link"; fi
done
touch "$root/node" "$root"/dev/{null,urandom}
for shared in usr etc dev/null dev/urandom; do mount --bind "/$shared" "$root/$shared"; done
mount --bind "$SCRATCH/app" "$root/app"
mount --bind "$NODE" "$root/node"
mount -t proc proc "$root/proc"
# Where a program reads its memory limit; containers have it too.
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
as_user=(/usr/bin/setpriv --reuid="$USER_ID" --regid="$USER_ID" --clear-groups --no-new-privs --bounding-set=-all --)
# What the image build does last: the compile cache, by the user and at the path that it is read by.
if [[ -e "$root/app/infra/warm.ts" ]]; then
  chroot "$root" /usr/bin/env -i NODE_COMPILE_CACHE=/app/.compile-cache "${as_user[@]}" /usr/bin/env --chdir=/app /node infra/warm.ts
  echo "cached $(find "$root/app/.compile-cache" -type f | wc -l) $(du -sm "$root/app/.compile-cache" | cut -f1)"
fi
date +%s%N > "$SCRATCH/built"
for shared in usr etc app node; do mount -o remount,bind,ro "$root/$shared"; done
mount -t tmpfs -o "size=256m,mode=0700,uid=$USER_ID,gid=$USER_ID" tmpfs "$root/scratch"
mount -o remount,ro "$root"
enter=(chroot "$root" /usr/bin/env -i NODE_ENV=production "NODE_OPTIONS=--max-old-space-size-percentage=65 --max-semi-space-size=8" NODE_COMPILE_CACHE=/app/.compile-cache)
"${enter[@]}" /node -p '"heap " + Math.round(v8.getHeapStatistics().heap_size_limit / 2 ** 20)'
exec "${enter[@]}" PORT="$PORT" MOORING_ROLE=all MOORING_STORE=embedded MOORING_RECONCILE=off \
  MOORING_DATA_DIR=/scratch/data MOORING_WORK_DIR=/scratch/copies \
  "${as_user[@]}" /usr/bin/env --chdir=/app /node mooring.ts
INSIDE

PORT=${MOORING_REHEARSE_PORT:-$((20000 + RANDOM % 20000))}
export SCRATCH=$scratch NODE=$node PORT USER_ID CGROUP=$group
started=$(date +%s%N)
unshare --mount --pid --fork --kill-child=KILL bash "$scratch/inside.sh" > "$scratch/log" 2>&1 < /dev/null &
outer=$!

since() { echo $((($(date +%s%N) - $1) / 1000000)); }

until curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$PORT/health/ready"; do
  kill -0 "$outer" 2> /dev/null || fail 'the program ended before it was ready'
  (($(since "$started") < READY_WITHIN_SECONDS * 1000)) || fail "not ready within $READY_WITHIN_SECONDS s"
  sleep 0.1
done
say 'ready' "after $(since "$(cat "$scratch/built")") ms"
say 'compile cache' "$(awk '$1 == "cached" { print $2 " modules, " $3 " MB" }' "$scratch/log")"

curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$PORT/health/live" || fail '/health/live does not answer 200'
say 'health' '/health/live and /health/ready answer 200'

# The child of unshare is the program: PID 1 in there, an ordinary process out here.
inner=$(pgrep -P "$outer" | head -n 1)
status=$(cat "/proc/$inner/status")
field() { awk -v key="$1:" '$1 == key { print $NF }' <<< "$status"; }

[[ $(field NSpid) == 1 ]] || fail "the program is PID $(field NSpid) of its namespace, not 1"
say 'PID 1' 'yes'
[[ $(field Uid) == "$USER_ID" ]] || fail "the program runs as user $(field Uid)"
[[ $(field CapEff) =~ ^0+$ && $(field NoNewPrivs) == 1 ]] || fail 'the program has privileges left'
say 'unprivileged' "user $USER_ID, no capabilities, no new privileges"
inside=(nsenter --target "$inner" --mount --root --)
for place in /mooring-was-here /app/mooring-was-here /tmp/mooring-was-here; do
  if "${inside[@]}" touch "$place" 2> /dev/null; then fail "$place can be written, even if only by root"; fi
done
"${inside[@]}" touch /scratch/mooring-was-here || fail 'the work directory can not be written'
say 'read-only root' 'yes; only the work directory takes files'
heap=$(awk '$1 == "heap" { print $2 }' "$scratch/log")
if [[ -n "$group" ]]; then
  ((heap > MEMORY_MIB / 2 && heap < MEMORY_MIB * 8 / 10)) || fail "the heap may take $heap of $MEMORY_MIB MiB"
  say 'heap' "up to $heap MiB of a limit of $MEMORY_MIB MiB"
fi
say 'memory' "$(awk '$1 == "VmRSS:" { printf "%.0f MiB resident", $2 / 1024 }' <<< "$status")"

# --- the end ----------------------------------------------------------------------------------------------------------
asked=$(date +%s%N)
kill -TERM "$inner"
while kill -0 "$inner" 2> /dev/null; do
  (($(since "$asked") < STOP_WITHIN_SECONDS * 1000)) || fail "still running $STOP_WITHIN_SECONDS s after SIGTERM; Cloud Run would have killed it"
  sleep 0.05
done
code=0
wait "$outer" || code=$?
outer=''
((code == 0)) || fail "ended with $code after SIGTERM"
say 'SIGTERM' "ended with 0 after $(since "$asked") ms"
