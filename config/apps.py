from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created

        from config import checks, load_target  # noqa: F401 (register the system checks)
        from config.database import count_queries

        connection_created.connect(count_queries)
