"""A list of mails that wait, were sent or were parked, whose ever they are."""

from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config import outbox
from config.models import Mail
from config.record_admin import RecordAdmin


class MailAdmin(RecordAdmin):
    """To look at; parked ones may be tried again. `kept`: the outbox."""

    kept: ClassVar[outbox.Outbox]
    list_filter = ("state", "kind")
    ordering = ("-pk",)
    actions = ("send_again",)
    exclude = ("claim",)

    @admin.action(description="Send again (parked mails)", permissions=["view"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Mail]) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        revived = outbox.retry_parked(self.kept, chosen, now=timezone.now())
        level = messages.SUCCESS if revived else messages.WARNING
        self.message_user(request, f"{revived} of {len(chosen)} will be tried again; the others are not parked.", level)
