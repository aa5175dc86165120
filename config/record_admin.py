"""How the admin shows rows that the application writes: to look at, a page at the cost of a few queries by index."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

if TYPE_CHECKING:  # generic for the type checker only
    AnyAdmin = admin.ModelAdmin[Any]
    Pages = Paginator[Any]
else:
    AnyAdmin = admin.ModelAdmin
    Pages = Paginator


class BoundedPaginator(Pages):
    """Counts no further than anybody will turn pages: a full count of a million rows is a scan."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        if isinstance(self.object_list, QuerySet):
            return self.object_list.order_by().values("pk")[: self.MOST].count()
        return len(self.object_list)


class RecordAdmin(AnyAdmin):
    """Rows that the application writes: to look at, not to edit."""

    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
