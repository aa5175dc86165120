"""Fills a data folder with a sale and a line of N people, straight into the tables, and prints K of their tickets,
evenly spread over the line. `STAMPEDE_DATA=... python -m bench.filled_line N K`"""

import os
import sys

import django


def main() -> None:
    people, wanted = int(sys.argv[1]), int(sys.argv[2])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from ico import board, sales
    from ico.tickets import Kind, Ticket

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("seed_sale", stdout=sys.stderr)
    sale_id = sales.current().pk
    with connection.cursor() as cursor:
        cursor.execute(FILL[connection.vendor], {"sale": sale_id, "people": people})
        cursor.execute("UPDATE ico_sale SET last_number = %s WHERE id = %s", [people, sale_id])
        cursor.execute("SELECT id FROM ico_entrant WHERE number %% %s = 0 ORDER BY number", [max(1, people // wanted)])
        entrants = [row[0] for row in cursor.fetchall()][:wanted]
    board.publish(sale_id)
    for entrant in entrants:
        print(Ticket(Kind.HOLDER, sale_id, entrant))


FILL = {
    "sqlite": """
INSERT INTO ico_entrant (sale_id, email, email_digest, number, state, signed_up_at)
WITH RECURSIVE place(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM place WHERE number < %(people)s)
SELECT %(sale)s, 'person-' || number || '@load.stampede-lab.org', printf('%%064d', number), number, 'waiting',
       '2026-01-01 00:00:00'
FROM place
""",
    "mysql": """
INSERT INTO ico_entrant (sale_id, email, email_digest, number, state, signed_up_at)
SELECT %(sale)s, concat('person-', seq, '@load.stampede-lab.org'), lpad(seq, 64, '0'), seq, 'waiting',
       '2026-01-01 00:00:00'
FROM seq_1_to_1000000 WHERE seq <= %(people)s
""",
}

if __name__ == "__main__":
    main()
