from email.message import EmailMessage
from pathlib import Path

import pytest

from loadtests import mailbox
from loadtests.mailbox import Invitation


def deliver(
    folder: Path, *, name: str, link: str, to: str = "a@load.stampede-lab.org", html_only: bool = False
) -> None:
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    mail = EmailMessage()
    mail["To"], mail["Message-ID"], mail["Subject"] = to, f"<{name}@sale>", "Ihre Einladung – jetzt"
    if html_only:
        mail.set_content(f'<p>Grüße <a href="{link}">here</a></p>', subtype="html")
    else:
        mail.set_content(f"Grüße, here is your link:\n\n{link}\n")
        mail.add_alternative(f'<a href="{link}">here</a>', subtype="html")
    (folder / "new" / name).write_bytes(mail.as_bytes())


def test_links_are_read_out_of_text_and_html(tmp_path: Path) -> None:
    deliver(tmp_path, name="1", link="http://127.0.0.1:8000/i/abc-DEF_1/")
    deliver(tmp_path, name="2", link="http://127.0.0.1:8000/i/zzz/", html_only=True)
    links = [invitation.link for invitation in mailbox.Mailbox(tmp_path).invitations()]
    assert links == ["http://127.0.0.1:8000/i/abc-DEF_1/", "http://127.0.0.1:8000/i/zzz/"]


def test_other_mails_are_no_invitations(tmp_path: Path) -> None:
    deliver(tmp_path, name="1", link="http://127.0.0.1:8000/line/h1.2.signature/")
    assert mailbox.Mailbox(tmp_path).invitations() == []


def test_mails_that_arrive_later_are_found_and_those_before_not_read_twice(tmp_path: Path) -> None:
    box = mailbox.Mailbox(tmp_path)
    assert box.invitations() == []
    deliver(tmp_path, name="1", link="http://127.0.0.1:8000/i/one/")
    assert len(box.invitations()) == 1
    (tmp_path / "new" / "1").rename(tmp_path / "cur" / "1:2,S")  # a mail reader has been there
    deliver(tmp_path, name="2", link="http://127.0.0.1:8000/i/two/")
    assert len(box.invitations()) == 2


def test_a_repeated_message_id_is_one_invitation(tmp_path: Path) -> None:
    deliver(tmp_path, name="1", link="http://127.0.0.1:8000/i/one/")
    (tmp_path / "new" / "again").write_bytes((tmp_path / "new" / "1").read_bytes())
    assert len(mailbox.Mailbox(tmp_path).invitations()) == 1


def test_a_file_of_links(tmp_path: Path) -> None:
    file = tmp_path / "links"
    file.write_text("# mine\nhttp://127.0.0.1/i/a/\n\n  /i/b/  \n")
    assert [invitation.link for invitation in mailbox.from_file(file)] == ["http://127.0.0.1/i/a/", "/i/b/"]


def test_used_links_are_not_given_again_and_too_few_are_said() -> None:
    links = [Invitation(f"http://127.0.0.1/i/{token}/") for token in "abc"]
    gathered = mailbox.gather(source=lambda: links, where="the mail", needed=2, spent=[links[0].mark], wait_seconds=0)
    assert gathered == links[1:]
    with pytest.raises(mailbox.NotEnoughLinks, match="3 visitors need 3 unused invitation links, and the mail has 2"):
        mailbox.gather(source=lambda: links, where="the mail", needed=3, spent=[links[0].mark], wait_seconds=0)


def test_waiting_for_the_mail_ends_when_there_is_enough() -> None:
    arriving = [Invitation("/i/a/"), Invitation("/i/b/")]
    seen: list[int] = []
    inbox: list[Invitation] = []

    def arrive(found: int) -> None:
        seen.append(found)
        inbox.append(arriving.pop(0))

    gathered = mailbox.gather(
        source=lambda: inbox, where="the mail", needed=2, spent=[], wait_seconds=20, waiting=arrive
    )
    assert [invitation.link for invitation in gathered] == ["/i/a/", "/i/b/"]
    assert seen == [0, 1]


def test_the_mark_of_a_link_does_not_give_it_away_and_is_the_same_at_every_host() -> None:
    assert Invitation("http://127.0.0.1:1/i/secret/").mark == Invitation("http://localhost:2/i/secret/").mark
    assert "secret" not in Invitation("http://127.0.0.1/i/secret/").mark
