# The application in one image, for web, worker, clock, follower and chain alike; compose.yaml says which is which.
# `--target edge` is nginx with the same files as everywhere, `--target sqs` the SQS emulator of the local stack.

FROM python:3.11-slim-bookworm AS build
# mysqlclient is the one part without a wheel: compiler and headers stay in this stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libmariadb-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-stack.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --no-binary mysqlclient \
       -r /requirements-stack.txt

FROM python:3.11-slim-bookworm AS code
WORKDIR /app
COPY manage.py ./
COPY config config
COPY deploy deploy
COPY ico ico
COPY loadtests loadtests

FROM code AS rendered
# Names and networks are those of compose.yaml.
# No limits: Docker's bridge makes all visitors one address.
RUN python -m deploy.nginx /edge --listen 0.0.0.0:8080 --internal 0.0.0.0:8081 --upstream web:8000 \
    --static-root /data/static --pid /tmp/nginx.pid --user www-data \
    --internal-network 127.0.0.0/8 --internal-network 172.30.0.0/24 \
    --connections 0 --requests-per-second 0 --burst 0

FROM debian:bookworm-slim AS edge
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx-light \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rendered --chown=www-data:www-data /edge /edge
USER www-data
EXPOSE 8080
STOPSIGNAL SIGQUIT
CMD ["nginx", "-p", "/edge", "-c", "/edge/nginx.conf", "-e", "stderr"]

FROM node:20-bookworm-slim AS sqs
WORKDIR /sqs
COPY deploy/local/sqs/package.json deploy/local/sqs/package-lock.json deploy/local/sqs/launcher.mjs ./
RUN npm ci --no-audit --no-fund
USER node
EXPOSE 9324
CMD ["node", "launcher.mjs", "9324", "0.0.0.0"]

FROM code AS application
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libmariadb3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stampede \
    && install --directory --owner stampede --group stampede /data \
    && python -m compileall -q /app
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STAMPEDE_DATA=/data \
    STAMPEDE_BIND=0.0.0.0:8000 \
    DJANGO_SETTINGS_MODULE=config.settings
USER stampede
VOLUME /data
EXPOSE 8000
# gunicorn's graceful time-out is 25 s; give it more to stop (`docker stop --time 40`, stop_grace_period).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["gunicorn", "-c", "deploy/gunicorn.conf.py", "config.wsgi:application"]
