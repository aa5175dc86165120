from django.apps import AppConfig


class IcoConfig(AppConfig):
    name = "ico"
    verbose_name = "the sale"
