# syntax=docker/dockerfile:1

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/polyrelay
# Dependencies first: this layer is cached as long as only our code changes.
COPY locks/server.txt /src/locks/server.txt
RUN /opt/polyrelay/bin/pip install --require-hashes --requirement /src/locks/server.txt
COPY . /src
RUN pip wheel --no-deps --wheel-dir /dist /src \
    && /opt/polyrelay/bin/pip install --no-deps --no-index /dist/*.whl \
    && /opt/polyrelay/bin/pip check \
    && /opt/polyrelay/bin/pip uninstall --yes pip

FROM python:3.12-slim
LABEL org.opencontainers.image.title="polyrelay" \
      org.opencontainers.image.description="One task API in front of many AI providers" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 polyrelay \
    && useradd --uid 10001 --gid polyrelay --no-create-home --home-dir /var/lib/polyrelay --shell /usr/sbin/nologin polyrelay \
    && install --directory --owner=polyrelay --group=polyrelay /var/lib/polyrelay /var/lib/polyrelay/results
COPY --from=build /opt/polyrelay /opt/polyrelay
# Listens on all addresses, because loopback is not reachable from outside a container. Published ports limit the access.
ENV PATH=/opt/polyrelay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8080 \
    RESULTS_URL=/var/lib/polyrelay/results
WORKDIR /var/lib/polyrelay
USER 10001:10001
VOLUME ["/var/lib/polyrelay/results"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# Health check of the API. For the command `worker` set another check (on WORKER_PORT), as the compose file does, or none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["polyrelay"]
CMD ["api"]
