"""What the shop's caches tell Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

AGES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

PAGES = Counter(
    "stampede_page_cache_answers",
    "Public pages of the shop by kind and where they came from: hit, stale (shown while it is renewed), miss.",
    ["kind", "result"],
)
PAGE_AGE = Histogram(
    "stampede_page_cache_age_seconds", "Age of the kept pages that were answered, by kind.", ["kind"], buckets=AGES
)
RENDERINGS = Counter(
    "stampede_page_cache_renderings",
    "Public pages that were rendered, by kind and how it ended: kept, other (not a page to keep), failed.",
    ["kind", "outcome"],
)
REFUSED = Counter(
    "stampede_page_cache_refused",
    "Pages that were not kept, for they held something of one person: a mistake in the code.",
)
OBJECTS = Counter(
    "stampede_object_cache_reads",
    "Objects of the shop by name and where they came from: hit, stale (used while it is renewed), miss.",
    ["name", "result"],
)
OBJECT_AGE = Histogram(
    "stampede_object_cache_age_seconds", "Age of the kept objects that were used, by name.", ["name"], buckets=AGES
)
LOOKED_AT = Gauge(
    "stampede_changes_looked_at_seconds",
    "When the web process that looked longest ago did look for changes of the shop: Unix time.",
    ["table"],  # with a label a process that never looks says nothing, instead of 0
    multiprocess_mode="livemin",
)
