"""Lines as real servers write them."""

from datetime import UTC, datetime

import pytest

from loadtests.replay.log_lines import Hit, NoHit, from_json, ncsa, parser_for

# The beginning of NASA's public log of July 1995 (common log format; Internet Traffic Archive, NASA-HTTP).
NASA = """\
199.72.81.55 - - [01/Jul/1995:00:00:01 -0400] "GET /history/apollo/ HTTP/1.0" 200 6245
unicomp6.unicomp.net - - [01/Jul/1995:00:00:06 -0400] "GET /shuttle/countdown/ HTTP/1.0" 200 3985
199.120.110.21 - - [01/Jul/1995:00:00:09 -0400] "GET /shuttle/missions/sts-73/mission-sts-73.html HTTP/1.0" 200 4085
burger.letters.com - - [01/Jul/1995:00:00:11 -0400] "GET /shuttle/countdown/liftoff.html HTTP/1.0" 304 0
199.120.110.21 - - [01/Jul/1995:00:00:11 -0400] "GET /shuttle/missions/sts-73/sts-73-patch-small.gif HTTP/1.0" 200 4179
burger.letters.com - - [01/Jul/1995:00:00:12 -0400] "GET /images/NASA-logosmall.gif HTTP/1.0" 304 0
"""
# Of Apache's manual on its log files: the combined form.
APACHE = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 '
    '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
)
# As nginx writes `combined`: what a port scanner sent, and a quote in an agent.
NGINX_SCAN = r'203.0.113.9 - - [21/Nov/2026:09:14:02 +0000] "\x16\x03\x01\x00\xEE" 400 157 "-" "-"'
NGINX = (
    r'2001:db8::7 - - [21/Nov/2026:09:14:03 +0100] "GET /shop/search/?q=a%20b HTTP/2.0" 200 5120 "-" '
    r'"a \x22quoted\x22 one"'
)
# Our own edge (deploy/nginx/nginx.conf).
EDGE = (
    '{"time":"2026-11-21T09:14:03+01:00","level":"INFO","logger":"nginx","request_id":"5f","client":"198.51.100.4",'
    '"method":"GET","route":"/shop/p/…/","protocol":"HTTP/1.1","status":200,"bytes":5120,"seconds":0.002,"cache":"HIT"}'
)
CADDY = (
    '{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":'
    '"127.0.0.1","remote_port":"41342","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/a?b=1","headers":'
    '{"User-Agent":["curl/7.82.0"]}},"status":200,"size":10900}'
)


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()


def test_a_common_log() -> None:
    hits = [ncsa(line) for line in NASA.splitlines()]
    assert hits[0] == Hit("199.72.81.55", "", at(1995, 7, 1, 4, 0, 1), "GET", "/history/apollo/", 200)
    assert [(hit.client, hit.status) for hit in hits[3:]] == [
        ("burger.letters.com", 304),
        ("199.120.110.21", 200),
        ("burger.letters.com", 304),
    ]


def test_a_combined_log() -> None:
    agent = "Mozilla/4.08 [en] (Win98; I ;Nav)"
    assert ncsa(APACHE) == Hit("127.0.0.1", agent, at(2000, 10, 10, 20, 55, 36), "GET", "/apache_pb.gif", 200)
    hit = ncsa(NGINX)
    assert (hit.client, hit.path, hit.moment) == ("2001:db8::7", "/shop/search/?q=a%20b", at(2026, 11, 21, 8, 14, 3))
    assert hit.agent == r"a \x22quoted\x22 one"


def test_a_request_of_http_0_9_names_no_version() -> None:
    assert ncsa('h - - [01/Jul/1995:00:00:01 -0400] "GET /a" 200 5').path == "/a"


def test_json_logs() -> None:
    edge = Hit("198.51.100.4", "", at(2026, 11, 21, 8, 14, 3), "GET", "/shop/p/…/", 200)
    assert from_json(EDGE) == edge
    assert from_json(CADDY) == Hit("127.0.0.1", "curl/7.82.0", 1646861401.5241024, "GET", "/a?b=1", 200)
    nginx = (
        '{"msec":"1795252443.250","remote_addr":"::1","request":"GET /x HTTP/1.1","status":"200","http_user_agent":"M"}'
    )
    assert from_json(nginx) == Hit("::1", "M", 1795252443.25, "GET", "/x", 200)
    local = '{"time_local":"21/Nov/2026:09:14:03 +0000","remote_addr":"::1","method":"GET","uri":"/","status":200}'
    assert from_json(local).moment == at(2026, 11, 21, 9, 14, 3)


@pytest.mark.parametrize("said", ["1732000000.123", "1732000000123", "1732000000123000", '"1732000000123"'])
def test_milliseconds_and_smaller_parts_are_no_seconds(said: str) -> None:
    line = f'{{"timestamp":{said},"client":"a","status":200,"method":"GET","path":"/"}}'
    assert from_json(line).moment == pytest.approx(1732000000.123)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alyssa.p", "not in the form"),  # how NASA's file ends
        (NGINX_SCAN, "no request"),
        ('h - - [01/Jul/1995:00:00:01 -0400] "-" 408 0 "-" "-"', "no request"),
        ('h - - [01/Jul/1995:00:00:01 -0400] "GET http://elsewhere.example/ HTTP/1.0" 200 1', "no browser"),
        ('h - - [01/Jul/1995:00:00:01 -0400] "GET //elsewhere.example/ HTTP/1.0" 200 1', "no browser"),
        ('h - - [01/Jul/1995:00:00:01 -0400] "OPTIONS * HTTP/1.0" 200 1', "no browser"),
        ('h - - [01/Jul/1995:00:00:01 -0400] "GET /a\\r\\nHost: x HTTP/1.0" 200 1', "no request"),
        (f'h - - [01/Jul/1995:00:00:01 -0400] "GET /{"a" * 2000} HTTP/1.0" 200 1', "longer than 2000"),
        ('h - - [31/Feb/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 1', "no time"),
        ('h - - [] "GET / HTTP/1.0" 200 1', "not in the form"),
        ('h - - [01/Jul/1995:00:00:xx -0400] "GET / HTTP/1.0" 200 1', "no time"),
    ],
)
def test_what_is_no_request_is_named(line: str, why: str) -> None:
    with pytest.raises(NoHit, match=why):
        ncsa(line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ('{"client":"a","status":200,"time":"2026-11-21T09:14:03Z"}', "no request"),
        ('{"client":"a","status":true,"time":"2026-11-21T09:14:03Z","method":"GET","path":"/"}', "no status"),
        ('{"client":"a","status":200,"time":"soon","method":"GET","path":"/"}', "no time"),
        ('{"client":"a","status":200,"method":"GET","path":"/"}', "no time"),
        ('{"client":"a","status":200,"ts":NaN,"method":"GET","path":"/"}', "no time"),
        (f'{{"client":"a","status":200,"ts":1{"0" * 400},"method":"GET","path":"/"}}', "no time"),
    ],
)
def test_what_is_no_request_is_named_of_json_too(line: str, why: str) -> None:
    with pytest.raises(NoHit, match=why):
        from_json(line)


def test_the_first_lines_say_which_form_a_log_has() -> None:
    assert parser_for([EDGE, CADDY, "rubbish"]) is from_json
    assert parser_for([APACHE, "{", APACHE]) is ncsa
