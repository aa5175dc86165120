from django.db import migrations, models


class Migration(migrations.Migration):
    """The table is there: the sale's second migration made it."""

    initial = True

    dependencies = [
        ("ico", "0004_the_budget_is_everybodys"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="MailBudget",
                    fields=[
                        ("name", models.CharField(max_length=16, primary_key=True, serialize=False)),
                        (
                            "full_at",
                            models.DateTimeField(
                                help_text="When no turn is missing any more; each turn taken moves it."
                            ),
                        ),
                        ("closed_until", models.DateTimeField(help_text="No mail is tried before this.")),
                        (
                            "setbacks",
                            models.PositiveIntegerField(
                                default=0, help_text="How often it was closed since a mail went through."
                            ),
                        ),
                    ],
                    options={"db_table": "ico_mailbudget"},
                ),
            ]
        ),
    ]
