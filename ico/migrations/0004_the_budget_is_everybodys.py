from django.db import migrations


class Migration(migrations.Migration):
    """The table stays as it is: `config.MailBudget` reads it from now on, for the shop sends mails too."""

    dependencies = [
        ("ico", "0003_real_chains"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name="MailBudget")]),
    ]
