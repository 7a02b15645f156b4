# One image for control and runner; MOORING_ROLE says which one a container is. Both bases are pinned by tag here, and
# the pipeline resolves the tags to digests, builds with those and records them as labels (infra/build-image.sh).
ARG NODE_IMAGE=docker.io/library/node:24.21.0-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot

# The install sees the two package files alone, so that its layer lives until they change. Install scripts stay off: the
# production packages need none, and a script is the usual way in for a bad one.
FROM ${NODE_IMAGE} AS install
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-update-notifier && npm cache clean --force

# The program is text that Node runs as it is. Tests lie beside the files they test and stay behind here.
FROM ${NODE_IMAGE} AS program
WORKDIR /app
COPY mooring.ts ./
COPY cli ./cli
COPY shared ./shared
COPY control ./control
COPY runner ./runner
RUN find . -name '*.test.ts' -delete && mkdir -p /owned/data /owned/scratch

# Node's compile cache, filled by the user and at the path that it is read by: both are part of its keys. A new instance has
# no other, and would compile some 700 modules before its first answer.
FROM ${NODE_IMAGE} AS warm
WORKDIR /app
COPY --from=install /app/node_modules ./node_modules
COPY --from=install /app/package.json ./package.json
COPY --from=program /app ./
COPY infra/warm.ts ./infra/warm.ts
RUN mkdir .compile-cache && chown 65532:65532 .compile-cache
USER 65532:65532
RUN NODE_COMPILE_CACHE=/app/.compile-cache node infra/warm.ts

# No shell, no package manager: Node, the C++ library it needs, certificates, and the program. Node is copied from the
# image that installed the packages, so that what runs is to the patch release what the lock file and the tests name.
FROM ${BASE_IMAGE}
COPY --from=install /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=install /app/node_modules ./node_modules
COPY --from=install /app/package.json ./package.json
COPY --from=program /app ./
COPY --from=warm /app/.compile-cache ./.compile-cache
# Where a volume or a tmpfs goes: a fresh volume takes the owner that the directory has here, and would else be root's.
COPY --from=program --chown=65532:65532 /owned /

# The heap follows the container's memory limit, whatever it is: 65 % for the heap, the rest for buffers, sockets and
# for files, which on Cloud Run are memory too. Of the young generation Node would keep 3 × 16 MiB and what grew old in
# them while sessions come up; with half of that an idle session takes a quarter less (1.33 and 0.99 MiB, one run of
# `npm run bench restart200` each), and 200 come up in 2.8 s instead of 2.6 s.
# It listens on every address of the container, whose network is nobody else's; outside of one the program stays on loopback.
ENV NODE_ENV=production \
    NODE_OPTIONS="--max-old-space-size-percentage=65 --max-semi-space-size=8" \
    NODE_COMPILE_CACHE=/app/.compile-cache \
    MOORING_HOST=0.0.0.0 \
    PORT=8080

# 65532 is the base image's "nonroot"; written as a number so that a platform can see that it is not root.
USER 65532:65532
EXPOSE 8080

# Node is PID 1: signals reach it directly, and the program's own handlers are what ends it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/node", "mooring.ts"]
