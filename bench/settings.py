"""The product's settings, with one view more: the empty one that the position API is compared with."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
