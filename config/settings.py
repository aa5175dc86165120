"""All settings of the project. Whatever differs between two hosts comes from the environment (`config/env.py`); what
the variables mean stands in docs/settings.md. Without any variable set this is the embedded default: SQLite, files in
one data folder, a broker without a server, a simulated chain."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF
from kombu import Queue

from config import cache_settings, env
from config.secret import secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# --- the host -------------------------------------------------------------------------------------------------------
DATA_DIR = env.folder("STAMPEDE_DATA", BASE_DIR / "var" / "data")

if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    env.folder("PROMETHEUS_MULTIPROC_DIR", DATA_DIR / "metrics")  # its client does not make it
SECRET_KEY = secret_key(DATA_DIR)
DEBUG = False
ALLOWED_HOSTS = env.names("STAMPEDE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
PUBLIC_URL = env.text("STAMPEDE_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
# Who may say `X-Forwarded-For`: the addresses of our own proxies. Empty: nobody is believed.
TRUSTED_PROXIES = env.addresses("STAMPEDE_TRUSTED_PROXIES")
WEB_WORKERS = env.integer("STAMPEDE_WEB_WORKERS", 2, minimum=1)  # one per core
WEB_THREADS = env.integer("STAMPEDE_WEB_THREADS", 16, minimum=1)  # see docs/decisions/0010
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_COOKIES = PUBLIC_URL.startswith("https://")

# Who may read /metrics, and the details of /readyz.
INTERNAL_NETWORKS = env.networks("STAMPEDE_INTERNAL_NETWORKS", "127.0.0.0/8,::1/128")

# --- the laboratory -------------------------------------------------------------------------------------------------
# The name under which this environment may be stampeded; without one it may not.
LOAD_TARGET = env.text("STAMPEDE_LOAD_TARGET", "")
LOAD_KEY = env.text("STAMPEDE_LOAD_KEY", SECRET_KEY)
# Where the laboratory reads the metrics of a target on another machine, when not at /metrics of its public address.
LOAD_METRICS = env.url("STAMPEDE_LOAD_METRICS", ("http", "https"), "http://10.0.1.4:8081/metrics")

# --- the sale -------------------------------------------------------------------------------------------------------
SIGNUPS_PER_MINUTE = env.integer("STAMPEDE_SIGNUPS_PER_MINUTE", 60)  # per client address; 0 switches it off
POLL_SECONDS = env.seconds("STAMPEDE_POLL_SECONDS", 30)
MAIL_ATTEMPTS = env.integer("STAMPEDE_MAIL_ATTEMPTS", 20, minimum=1)  # about ten hours
MAIL_RETRY_SECONDS = env.seconds("STAMPEDE_MAIL_RETRY_SECONDS", 5)

BTC_NETWORK = env.choice("STAMPEDE_BTC_NETWORK", "mainnet", ("mainnet", "testnet", "regtest"))
# The defaults are account keys of random seeds that were thrown away: nobody can spend what arrives there, which is why
# every page of a sale on the simulated chain says not to send real money, and why a node of real money refuses them.
_MAIN_BTC = (
    "zpub6qZzEtGkkBVpKk5Q21fwAxCmrAWWSLEACw1DaQ2cAAZzEJtTPCWx7MfYvYN29cd3JcW91RdStQtZjY7SvmixRSKUm6DMvZhJn6FR5X1H4Zg"
)
DEMO_TEST_BTC_KEY = (
    "vpub5Yne3Duhki5eHVKojCRnjv6xPq86wGDt5yz5JjWTsT4TUiToqwht69GXYeZzXDkQff3fcRM4ymV7gfJodXQML473AXysThZ4GvBs4uEWUhD"
)
_ETH = "xpub6BysqNa2QkBMyUHLFEwQC7PSim5kbrfnSBYHk4cbMSdw9Uv7PRaNaC3gUVnKZrLr8DeaoMhfzoqBqg87qmBgLN1mjP6nHu87f4vMjMnMukz"
DEMO_KEYS = {"BTC": _MAIN_BTC if BTC_NETWORK == "mainnet" else DEMO_TEST_BTC_KEY, "ETH": _ETH}
BTC_XPUB = env.text("STAMPEDE_BTC_XPUB", DEMO_KEYS["BTC"])
ETH_XPUB = env.text("STAMPEDE_ETH_XPUB", DEMO_KEYS["ETH"])
# Where the chains' nodes answer JSON-RPC; without an address the chain is a simulated one in the data folder.
NODES = {
    "BTC": env.url("STAMPEDE_BTC_NODE", ("http", "https"), "http://user:password@127.0.0.1:8332"),
    "ETH": env.url("STAMPEDE_ETH_NODE", ("http", "https"), "http://127.0.0.1:8545"),
}
ETH_CHAIN_ID = env.integer("STAMPEDE_ETH_CHAIN_ID", 1, minimum=1)
ETH_FINALITY = env.choice("STAMPEDE_ETH_FINALITY", "depth", ("depth", "finalized"))
NODE_PATIENCE_SECONDS = env.seconds("STAMPEDE_NODE_PATIENCE_SECONDS", 600)
ADDRESSES_AHEAD = env.integer("STAMPEDE_ADDRESSES_AHEAD", 1_000)
CONFIRMATIONS = {
    "BTC": env.integer("STAMPEDE_BTC_CONFIRMATIONS", 6, minimum=1),
    "ETH": env.integer("STAMPEDE_ETH_CONFIRMATIONS", 12, minimum=1),
}
SIMULATED_BLOCK_SECONDS = {
    "BTC": env.seconds("STAMPEDE_BTC_BLOCK_SECONDS", 600),
    "ETH": env.seconds("STAMPEDE_ETH_BLOCK_SECONDS", 12),
}

# --- the shop -------------------------------------------------------------------------------------------------------
SHOP_CURRENCY = "EUR"
RESERVATION_SECONDS = env.seconds("STAMPEDE_RESERVATION_SECONDS", 900)  # an order not paid holds its pieces for
ORDERS_OPEN = env.integer("STAMPEDE_ORDERS_OPEN", 5, minimum=1)  # of one customer, not paid yet
ORDERS_PER_HOUR = env.integer("STAMPEDE_ORDERS_PER_HOUR", 20, minimum=1)  # of one customer
# The dummy payment provider: what one charge takes, and how many of a hundred it refuses.
PAYMENT_SECONDS = env.seconds("STAMPEDE_PAYMENT_SECONDS", 0.3)
PAYMENT_REFUSED_PERCENT = env.integer("STAMPEDE_PAYMENT_REFUSED_PERCENT", 0)
LOGINS_PER_MINUTE = env.integer("STAMPEDE_LOGINS_PER_MINUTE", 60)  # per client address; 0 switches it off
CARTS_PER_MINUTE = env.integer("STAMPEDE_CARTS_PER_MINUTE", 300)  # new ones of guests, per client address; likewise
LOGINS_PER_ACCOUNT = env.integer("STAMPEDE_LOGINS_PER_ACCOUNT", 10)  # a minute, wherever they come from; likewise

# --- applications and middleware ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "config",
    "ico",
    "shop",
    "loadtests",
]
MIDDLEWARE = [
    "config.requests.HeadMiddleware",
    "config.requests.RequestIdMiddleware",
    "config.metrics.RequestsMiddleware",
    "config.requests.ProblemMiddleware",
    "config.requests.BodyLimitMiddleware",
    "shop.front.FrontMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.writing.WritingMiddleware",
    "config.database.ReadingMiddleware",
    "config.persons.PersonsMiddleware",
]
# Sessions, logins and messages exist below these addresses only; the admin looks for their middlewares by name.
SESSION_PATHS = (
    "/admin/",
    "/ops/",
    "/account/",
    "/api/cart",
    "/shop/cart/",
    "/shop/checkout/",
    "/shop/fans/",
    "/shop/orders/",
    "/shop/recommended/",
)
# Error pages of their own, by what their addresses begin with.
ERROR_PAGES = (("/shop/", "shop/error.html"), ("/account/", "shop/error.html"))
SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410"]
CSRF_FAILURE_VIEW = "config.urls.csrf_failure"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- database -------------------------------------------------------------------------------------------------------
# WAL lets readers go on while one writes; FULL makes a commit survive a power cut, which is what "acknowledged" means.
# IMMEDIATE takes the write lock at BEGIN, so that a transaction never fails half-way for having read first.
_SQLITE: dict[str, object] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "stampede.sqlite3",
    "CONN_MAX_AGE": None,
    "OPTIONS": {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;"
        ),
    },
    # A file, so that tests with several connections see one database as the application does.
    "TEST": {"NAME": DATA_DIR / "test.sqlite3"},
}
# A connection is kept, for making one costs as much as ten queries; it is looked at before each request, for the server
# may have been restarted. Time-outs in seconds: a primary whose disk is full does not answer at all.
_OPTIONS: dict[str, object] = {
    "charset": "utf8mb4",
    "isolation_level": "read committed",
    "init_command": "SET SESSION innodb_lock_wait_timeout=10",
    "connect_timeout": 2,
    "read_timeout": 20,
    "write_timeout": 20,
}
_MARIADB: dict[str, object] = {
    "ENGINE": "django.db.backends.mysql",
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": _OPTIONS,
    # Addresses on Bitcoin differ by case alone, so text is compared byte by byte, as SQLite does.
    "TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"},
}
# A replica only answers pages; one that hangs must not hold a thread for long, as another can answer the same.
_READS = {**_OPTIONS, "read_timeout": 5, "write_timeout": 5}
_primary = env.databases("STAMPEDE_DATABASE_URL")
DATABASES: dict[str, dict[str, object]] = {"default": {**_MARIADB, **_primary[0]} if _primary else _SQLITE}
if _primary:
    env.needs("STAMPEDE_DATABASE_URL", "MySQLdb")
REPLICAS = []
for _number, _address in enumerate(env.databases("STAMPEDE_REPLICA_URLS"), start=1):
    REPLICAS.append(f"replica{_number}")
    DATABASES[REPLICAS[-1]] = {**_MARIADB, **_address, "OPTIONS": _READS, "TEST": {"MIRROR": "default"}}
DATABASE_ROUTERS = ["config.database.Router"] if REPLICAS else []
REPLICA_MAX_LAG = env.seconds("STAMPEDE_REPLICA_MAX_LAG", 2)  # an older one is left out until it has caught up
PROVENANCE = env.flag("STAMPEDE_PROVENANCE", False)

# --- cache, sessions, mail ------------------------------------------------------------------------------------------
REDIS_URL = env.url("STAMPEDE_REDIS_URL", ("redis", "rediss"), "redis://127.0.0.1:6379/0")
if REDIS_URL:
    env.needs("STAMPEDE_REDIS_URL", "django_redis")
CACHES = cache_settings.on_redis(REDIS_URL.geturl()) if REDIS_URL else cache_settings.on_files(DATA_DIR)
# Rows; on Redis with copies, which are no reason to believe that somebody is logged in (docs/decisions/0022).
SESSION_ENGINE = "config.sessions" if REDIS_URL else "django.contrib.sessions.backends.db"
AUTHENTICATION_BACKENDS = ["config.sessions.Backend"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "shop:login"  # the operators' own is "admin:login", which the panel and the admin name themselves

MAILBOX_DIR = DATA_DIR / "mail"
MAIL_BY = env.choice("STAMPEDE_MAIL", "maildir", ("maildir", "smtp", "ses"))
EMAIL_BACKEND = {
    "maildir": "config.maildir.EmailBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
    "ses": "config.ses.EmailBackend",
}[MAIL_BY]
if MAIL_BY == "ses":
    env.needs("STAMPEDE_MAIL", "boto3")
_smtp = env.url("STAMPEDE_SMTP_URL", ("smtp", "smtp+tls", "smtps"), "smtp+tls://user:password@mail.example.org:587")
if _smtp:
    EMAIL_HOST, EMAIL_PORT = _smtp.hostname, _smtp.port or {"smtp": 25, "smtp+tls": 587, "smtps": 465}[_smtp.scheme]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_smtp.username or ""), unquote(_smtp.password or "")
    EMAIL_USE_TLS, EMAIL_USE_SSL = _smtp.scheme == "smtp+tls", _smtp.scheme == "smtps"
SES_REGION = env.text("STAMPEDE_SES_REGION", "eu-central-1")
SES_ENDPOINT = env.endpoint("STAMPEDE_SES_ENDPOINT")  # empty: the region's own
MAILS_PER_SECOND = env.integer("STAMPEDE_MAILS_PER_SECOND", 0)  # what the account may send; 0: no limit
EMAIL_TIMEOUT = 8  # seconds for each answer; all those of one mail must come while its mark lasts (`config/mail.py`)
DEFAULT_FROM_EMAIL = env.text("STAMPEDE_MAIL_FROM", "Stampede sale <sale@stampede.example>")

# --- work in the background -----------------------------------------------------------------------------------------
# See docs/decisions/0002: messages are files, rows are the truth; a lost message is found again by its row.
BROKER = env.choice("STAMPEDE_BROKER", "folder", ("folder", "sqs"))
QUEUE_DIR = DATA_DIR / "queue"
SQS_ENDPOINT = env.endpoint("STAMPEDE_SQS_ENDPOINT")  # empty: the region's own
SQS_REGION = env.text("STAMPEDE_SQS_REGION", "eu-central-1")
SQS_PREFIX = env.text("STAMPEDE_SQS_PREFIX", "stampede-")  # begins every queue's name
CELERY_BROKER_URL = "folder://localhost"
CELERY_BROKER_TRANSPORT = "config.folder_broker:Transport"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
    "data_folder_in": str(QUEUE_DIR / "messages"),
    "data_folder_out": str(QUEUE_DIR / "messages"),
    "control_folder": str(QUEUE_DIR / "control"),
    "polling_interval": 0.1,
}
if BROKER == "sqs":
    env.needs("STAMPEDE_BROKER", "boto3")
    CELERY_BROKER_URL = f"sqs://{urlsplit(SQS_ENDPOINT).netloc}"
    CELERY_BROKER_TRANSPORT = "config.sqs:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "region": SQS_REGION,
        "is_secure": not SQS_ENDPOINT.startswith("http:"),
        "queue_name_prefix": SQS_PREFIX,
        # An emulator's, which speaks without TLS; in an account, also through an endpoint of its own network, the
        # templates make them.
        "make_queues": SQS_ENDPOINT.startswith("http:"),
        # The longest poll that SQS knows is 20 s, which is also when kombu's own client gives up.
        "wait_time_seconds": 18,
        "polling_interval": 0.2,
        # Longer than a mail is claimed (60 s) and than a message's mails take. What a dead worker held is found again
        # by its rows before it appears again as a message.
        "visibility_timeout": 90,
        "receives": 5,  # then a message is dead; deployments and dying workers use up some
        "client-config": {"connect_timeout": 2, "read_timeout": 25, "retries": {"mode": "standard"}},
    }
# How long mails are gathered before their messages are published: the fewer calls of SQS, the later a mail.
MAIL_GATHER_SECONDS = env.seconds("STAMPEDE_MAIL_GATHER_SECONDS", 5) if BROKER == "sqs" else 0.0
# The one queue carries mails. Declaring it would ask SQS for its length each time somebody connects.
CELERY_TASK_DEFAULT_QUEUE = "mail"
CELERY_TASK_QUEUES = (Queue("mail", no_declare=True),)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
# A message whose task fails stays where it is, comes again, and is a dead letter in the end.
CELERY_TASK_ACKS_ON_FAILURE = CELERY_TASK_ACKS_ON_TIMEOUT = BROKER != "sqs"
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.clock:Scheduler"


def _every(seconds: float, task: str) -> dict[str, object]:
    return {"task": task, "schedule": timedelta(seconds=seconds)}


CELERY_BEAT_SCHEDULE = {
    "number": _every(0.5, "ico.number"),
    "relay": _every(0.5, "config.relay"),
    "tidy-sessions": _every(600, "config.tidy"),
    "release": _every(1, "ico.release"),
    "expire": _every(5, "ico.expire"),
    "board": _every(1, "ico.board"),
    "derive": _every(2, "ico.derive"),
    "turn": _every(5, "shop.turn"),
    "settle": _every(0.5, "shop.settle"),
    "expire-orders": _every(5, "shop.expire"),
    "tidy-shop": _every(3_600, "shop.tidy"),
    "together": _every(60, "shop.together"),
}

# --- pictures -------------------------------------------------------------------------------------------------------
MEDIA_BY = env.choice("STAMPEDE_MEDIA", "folder", ("folder", "s3"))
MEDIA_ROOT = DATA_DIR / "media"
S3_BUCKET = env.text("STAMPEDE_MEDIA_BUCKET", "stampede-media")
S3_REGION = env.text("STAMPEDE_MEDIA_REGION", "eu-central-1")
S3_ENDPOINT = env.endpoint("STAMPEDE_MEDIA_ENDPOINT")  # empty: the region's own
if MEDIA_BY == "s3":
    env.needs("STAMPEDE_MEDIA", "boto3")
_bucket = f"{S3_ENDPOINT}/{S3_BUCKET}" if S3_ENDPOINT else f"https://{S3_BUCKET}.s3.{S3_REGION}.amazonaws.com"
_media = env.url("STAMPEDE_MEDIA_URL", ("http", "https"), "https://media.example.org")
# Where browsers find what stands in the bucket: at the bucket itself, unless something stands before it.
MEDIA_URL = "/media/" if MEDIA_BY == "folder" else f"{_media.geturl().rstrip('/') if _media else _bucket}/"
MEDIA_ORIGINS = [urlsplit(MEDIA_URL)._replace(path="", query="", fragment="").geturl()] if MEDIA_BY == "s3" else []

# --- what a browser is told -----------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", *MEDIA_ORIGINS],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],  # the shop's recommendations
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024  # the largest honest body here is a form of three fields
DATA_UPLOAD_MAX_NUMBER_FIELDS = 50

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "config.s3.S3Storage" if MEDIA_BY == "s3" else "config.media.WholeFiles"},
    "staticfiles": {"BACKEND": "config.static_files.StaticFiles"},
}

LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["config.formats"]
TIME_ZONE = "UTC"
USE_TZ = True

LOG_FORMAT = env.choice("STAMPEDE_LOG_FORMAT", "line", ("line", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "config.logging.Redact"}},
    "formatters": {
        "line": {"()": "config.logging.Line", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "config.logging.Json"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["redact"]}},
    "root": {
        "handlers": ["console"],
        "level": env.choice("STAMPEDE_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    "loggers": {
        "django.request": {"level": "ERROR"},
        "botocore": {"level": "WARNING"},  # tells where it found its credentials, each time
        "httpcore": {"level": "WARNING"},  # tells each step of each question to a node
        # A wrong Host header is the sender's business; answering it with a traceback fills the disk.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # One line that a task came and one that it went, for every task: what it did is told by itself.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
