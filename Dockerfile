# One image, six commands: `docker run clarion gateway`, and likewise gateway.webhooks, user_svc, template_svc, email_worker, push_worker.
# `docker run clarion user_svc migrate` brings the database of a service up to date.
#
# With base images by digest, one commit makes one image:
#   docker buildx build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --build-arg PYTHON_IMAGE=python@sha256:... \
#     --build-arg NODE_IMAGE=node@sha256:... --sbom=true --provenance=true --output type=image,push=true,rewrite-timestamp=true .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${PYTHON_IMAGE} AS packages
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
# The lock is complete and hashed: nothing else gets in, nothing is built here.
# Compiled here by content: pip would write the time of the build into each compiled file.
RUN /opt/venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    -r /tmp/requirements.lock && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${NODE_IMAGE} AS console
WORKDIR /srv/console
COPY console/package.json console/package-lock.json console/.npmrc ./
RUN npm ci
COPY console .
# Into /srv/gateway/console/built.
RUN npm run build

FROM ${PYTHON_IMAGE}
# The time that files and accounts get.
ARG SOURCE_DATE_EPOCH=0
RUN groupadd --gid 10001 clarion && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin clarion
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/clarion
COPY gen gen
COPY mesh mesh
COPY transcoding transcoding
COPY naming naming
COPY peers peers
COPY delivery delivery
COPY gateway gateway
COPY --from=console /srv/gateway/console/built gateway/console/built
COPY user_svc user_svc
COPY template_svc template_svc
COPY email_worker email_worker
COPY push_worker push_worker
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/srv/clarion:/srv/clarion/gen \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# Compiled once here, because the processes may not write to their own file system.
RUN python -m compileall -q --invalidation-mode unchecked-hash /srv/clarion
USER 10001:10001
# REST 8000 and gRPC 9000 of the gateway; gRPC of the others; metrics of each.
EXPOSE 8000 9000 8001 8002 8003 8004 8005 9100
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["gateway"]
