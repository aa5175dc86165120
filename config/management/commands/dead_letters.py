"""`manage.py dead_letters`: messages that never got through, in SQS."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.timesince import timesince

if TYPE_CHECKING:
    from config.dead_letters import DeadLetter, DeadLetters


Act = Callable[["DeadLetters", list["DeadLetter"]], list["DeadLetter"]]  # returns those that stay


class Command(BaseCommand):
    help = "Show the messages that were received time and again and never finished; send them back, or delete them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--send-back", action="store_true", help="put them into the queue again")
        what.add_argument("--delete", action="store_true", help="delete them for good")
        parser.add_argument("--message", action="append", default=[], metavar="ID", help="this one only (repeatable)")

    def handle(self, *, send_back: bool, delete: bool, message: list[str], **options: Any) -> None:
        if settings.BROKER != "sqs":
            self.stdout.write("The folder broker keeps no dead letters; mails that failed are parked, see /admin/.")
            return
        act = self._send_back if send_back else self._delete if delete else self._show
        count = self._with_each(act, set(message))
        missing = len(set(message)) - count
        if message and missing:
            raise CommandError(f"{missing} of the messages named are not there")
        if not count:
            self.stdout.write("There are no dead letters.")

    def _with_each(self, act: Act, only: set[str]) -> int:
        from botocore.exceptions import BotoCoreError, ClientError  # here, for the embedded default has none of it

        from config import queues
        from config.dead_letters import DeadLetters

        count = 0
        kept: list[DeadLetter] = []
        try:
            dead = DeadLetters(queues.client(), settings.SQS_PREFIX + settings.CELERY_TASK_DEFAULT_QUEUE)
            try:
                for held in dead.held():
                    chosen = [letter for letter in held if not only or letter.id in only]
                    kept += [letter for letter in held if letter not in chosen]
                    kept += act(dead, chosen)
                    count += len(chosen)
            finally:  # only now: they would come again at once, and hide the others
                dead.release(kept)
        except (BotoCoreError, ClientError, queues.QueueMissing) as error:
            raise CommandError(f"SQS: {error}") from error
        return count

    def _show(self, dead: "DeadLetters", letters: list["DeadLetter"]) -> list["DeadLetter"]:
        for letter in letters:
            age = timesince(letter.sent_at, timezone.now(), depth=1).replace("\xa0", " ")
            task = letter.task or "no task"
            self.stdout.write(f"{letter.id}  {age} old  received {letter.receives} times  {task}{letter.arguments}")
        return letters

    def _send_back(self, dead: "DeadLetters", letters: list["DeadLetter"]) -> list["DeadLetter"]:
        refused = dead.send_back(letters)
        for letter in letters:
            self.stdout.write(f"{letter.id}  {refused.get(letter.id, 'sent back')}")
        return [letter for letter in letters if letter.id in refused]

    def _delete(self, dead: "DeadLetters", letters: list["DeadLetter"]) -> list["DeadLetter"]:
        refused = dead.delete(letters)
        for letter in letters:
            self.stdout.write(f"{letter.id}  {refused.get(letter.id, 'deleted')}")
        return [letter for letter in letters if letter.id in refused]
