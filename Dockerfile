# One image for each service: docker build --build-arg SERVICE=gateway -t aldis-gateway .
# SERVICE is gateway, router, directory, or launcher, which holds the `aldis` command and with it everything.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS lock
ARG SERVICE
COPY requirements-run.lock /locks/launcher.lock
COPY services /services
RUN for service in /services/*; do cp "$service/requirements.lock" "/locks/$(basename "$service").lock"; done; \
    cp "/locks/${SERVICE:-}.lock" /lock || { echo "give --build-arg SERVICE=gateway|router|directory|launcher" >&2; exit 1; }

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# what is pinned comes first, so that a change of our code installs none of it anew
COPY requirements-build.lock ./
COPY --from=lock /lock ./
RUN set -eu; \
    python -m venv /build; \
    /build/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements-build.lock; \
    python -m venv --without-pip /app; \
    /build/bin/pip --python /app/bin/python install --quiet --require-hashes --only-binary :all: -r lock
COPY core core
COPY launcher launcher
COPY services services
# wheels, as anybody gets them: what is missing in one is missing here as well
RUN set -eu; \
    ours="./core ./services/$SERVICE"; [ "$SERVICE" != launcher ] || ours="./core ./launcher ./services/gateway ./services/router ./services/directory"; \
    /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels $ours; \
    /build/bin/pip --python /app/bin/python install --quiet --no-deps --no-index /wheels/*.whl; \
    command=aldis-$SERVICE; [ "$SERVICE" != launcher ] || command=aldis; \
    ln -s "$command" /app/bin/run; \
    /app/bin/python -m compileall -q -j 0 /app/lib; \
    test -x "/app/bin/$command"; \
    install -d -m 700 -o 10001 -g 10001 /data

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="aldis-${SERVICE}"
COPY --from=build /app /app
# the owner of what the service writes; a volume that is mounted here gets it as well
COPY --from=build --chown=10001:10001 /data /var/lib/aldis
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ALDIS_DATA_DIR=/var/lib/aldis ALDIS_METRICS__HOST=0.0.0.0 ALDIS_LOG__FORMAT=json
USER 10001:10001
WORKDIR /var/lib/aldis
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/app/bin/python", "-m", "aldis.core.service.probe", "/healthz"]
ENTRYPOINT ["/app/bin/run"]
