"""Personal data of nobody in many forms and contexts, and what looks alike but must stay. Seeded; made by drawing.

Not the wording of the rules' tests: those say what each rule promises, this says how far the promise carries.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stdnum import luhn, numdb
from stdnum.iso7064 import mod_97_10

Draw = Callable[[random.Random], str]


@dataclass(frozen=True)
class Case:
    """A text, and the value planted in it; a near miss has no kind."""

    text: str
    value: str
    kind: str | None


CARRIERS: Final = (
    "{}", "{}.", "Hi team, {} please advise before the market opens", "Client wrote: {}, then hung up",
    "Shares fell 2.4% on Tuesday ({})", "FYI {} | Q3 2025 guidance unchanged", "re: your query of 12/03/2025 - {}",
    "Ticket 48213: {} - escalate", "“{}” was in the forwarded note", "{}; the fund holds 1,250,000 shares of $ACME",
    "Analyst note\n{}\nTarget raised to $187.50", "ALERT {} AT 10:30 GMT",
)  # fmt: skip


def cases(seed: int, each: int) -> list[Case]:
    """Draw `each` texts of every kind, and four times as many near misses."""
    rng = random.Random(seed)
    planted = [_case(rng, kind, *rng.choice(FORMS[kind])) for kind in FORMS for _ in range(each)]
    misses = [_case(rng, None, *rng.choice(NEAR_MISSES)) for _ in range(4 * each)]
    return planted + misses


def _case(rng: random.Random, kind: str | None, contexts: tuple[str, ...], draw: Draw) -> Case:
    value = draw(rng)
    said = rng.choice(contexts).format(value)
    return Case(rng.choice(CARRIERS).replace("{}", said), value, kind)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _from(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def _shape(*shapes: str) -> Draw:
    """Return a draw of one of the shapes: # is a digit, % one that is not 0, & one above 1, @ a capital, ? either."""

    def draw(rng: random.Random) -> str:
        signs = {
            "#": string.digits,
            "%": "123456789",
            "&": "23456789",
            "@": string.ascii_uppercase,
            "?": string.ascii_uppercase + "0123456789",
        }
        return "".join(rng.choice(signs[sign]) if sign in signs else sign for sign in rng.choice(shapes))

    return draw


def _one_of(*values: str) -> Draw:
    return lambda rng: rng.choice(values)


def _email(rng: random.Random) -> str:
    first, last = (
        rng.choice(("marta", "Oluwaseun", "j", "li.wei", "søren", "AGNES")),
        rng.choice(("kovacs", "Adeyemi", "ng", "o'brien")),
    )
    local = first + rng.choice((".", "_", "-", "")) + last + rng.choice(("", "+alerts", "77", "_x"))
    return (
        local
        + "@"
        + rng.choice(("ledger.example", "mail.bank.co.uk", "x-y.io", "post.example.org", "firma.de", "münchen.example"))
    )


_PHONES: Final = (
    "+49 30 %#######", "+49 (0)89 %#######", "+33 % ## ## ## ##", "+44 7%## ######", "+44 (0)20 7### ####",
    "+1-2&#-&##-####",
    "+1 (3&#) &##-####", "+91 9#### #####", "+81-3-%###-####", "+55 11 9####-####", "+61 2 9### ####",
    "+971 50 ### ####",
    "+65 6### ####", "+86 138 #### ####", "+41 44 ### ## ##", "+34 6## ## ## ##", "+39 02 #### ####", "+3161#######",
    "0044 20 7### ####", "0033 1 ## ## ## ##", "(6&#) &##-####", "7&#-&##-####", "8&#.&##.####", "1-9&#-&##-####",
    "030 %#######", "06 ## ## ## ##", "0151/%#######", "020 8### ####", "01632 96####",
)  # fmt: skip
_BARE_PHONES: Final = ("%##-####", "2%#%######", "555 01##", "0171%#######")


def _card(rng: random.Random) -> str:
    prefix, length = rng.choice(
        (("4", 16), ("4", 13), ("53", 16), ("2235", 16), ("37", 15), ("6011", 16), ("36", 14), ("3530", 16), ("62", 17))
    )
    body = prefix + _digits(rng, length - len(prefix) - 1)
    number = body + luhn.calc_check_digit(body)
    if length == 15:
        return rng.choice(
            (number, f"{number[:4]} {number[4:10]} {number[10:]}", f"{number[:4]}-{number[4:10]}-{number[10:]}")
        )
    return (
        rng.choice(("", " ", "-", ".")).join(number[i : i + 4] for i in range(0, length, 4)) if length == 16 else number
    )


_COUNTRIES: Final = (
    "AD", "AE", "AT", "BE", "BG", "BR", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU",
    "IE", "IL", "IT", "KZ", "LT", "LU", "MT", "NL", "NO", "PL", "PT", "QA", "RO", "SA", "SE", "SI", "SK", "TR", "UA",
)  # fmt: skip


def _iban(rng: random.Random) -> str:
    country = rng.choice(_COUNTRIES)
    structure = numdb.get("iban").info(country + "00")[0][1]["bban"]
    alphabets = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}
    bban = "".join(_from(rng, alphabets[kind], int(n)) for n, kind in re.findall(r"(\d+)!([nac])", structure))
    number = country + mod_97_10.calc_check_digits(bban + country) + bban
    return rng.choice((number, " ".join(number[i : i + 4] for i in range(0, len(number), 4)), number.lower()))


def _ssn(separator: str) -> Draw:
    def draw(rng: random.Random) -> str:
        area = rng.choice([one for one in range(1, 900) if one != 666])
        return separator.join((f"{area:03d}", f"{rng.randint(1, 99):02d}", f"{rng.randint(1, 9999):04d}"))

    return draw


_BASE62: Final = string.ascii_letters + string.digits


def _known_secret(rng: random.Random) -> str:
    def run(count: int, alphabet: str = _BASE62) -> str:
        return _from(rng, alphabet, count)

    capitals = string.ascii_uppercase + "234567"
    return rng.choice((
        f"sk-{run(48)}", f"sk-proj-{run(40)}_{run(20)}", f"sk-ant-api03-{run(60)}",
        f"gh{rng.choice('pousr')}_{run(36)}",
        f"github_pat_{run(22)}_{run(59)}", f"xox{rng.choice('bpa')}-{_digits(rng, 12)}-{run(24)}",
        f"AKIA{run(16, capitals)}",
        f"AIza{run(35)}", f"sk_live_{run(24)}", f"hf_{run(34)}", f"glpat-{run(20)}", f"npm_{run(36)}", _jwt(rng),
        f"SG.{run(22)}.{run(43)}",
    ))  # fmt: skip


def _jwt(rng: random.Random) -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    parts = (part({"alg": "HS256", "typ": "JWT"}), part({"sub": _digits(rng, 8), "iat": 1516239022}))
    return ".".join((*parts, _from(rng, _BASE62, 43)))


def _random_key(rng: random.Random) -> str:
    alphabet, count = rng.choice((("0123456789abcdef", 32), (_BASE62, 24), (_BASE62 + "-_", 40), (_BASE62 + "+/", 40)))
    return _from(rng, alphabet, count - 2) + "a7"


def _password(rng: random.Random) -> str:
    word = rng.choice(("Harbour", "tulip", "Zebra", "monday", "correcthorse"))
    return word + rng.choice("!#$%&*") + _digits(rng, rng.randint(2, 4))


def _pem(rng: random.Random) -> str:
    kind = rng.choice(("", "RSA ", "EC ", "OPENSSH "))
    body = "\n".join(_from(rng, _BASE62 + "+/", 64) for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


def _ipv4(rng: random.Random) -> str:
    return f"{rng.randint(1, 223)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(20, 255)}"


def _ipv6(rng: random.Random) -> str:
    groups = [f"{rng.randint(1, 0xFFFF):x}" for _ in range(8)]
    full = ":".join(["2001", *groups[1:]])
    return rng.choice(
        (full, full.upper(), f"2a02:{groups[1]}::{groups[2]}", f"fe80::{groups[3]}:{groups[4]}:{groups[5]}")
    )


Forms = tuple[tuple[tuple[str, ...], Draw], ...]
_PLAIN: Final = ("{}", "contact {}", "details {} on file", "({})", "see {} for more")

FORMS: Final[dict[str, Forms]] = {
    "email": (((*_PLAIN, "mailto:{}", "From: <{}>", "{},"), _email),),
    "phone": (
        (("{}", "you may ring us on {}", "desk line {}", "({})", "T {}", "WhatsApp: {}"), _shape(*_PHONES)),
        (("phone: {}", "her mobile is {}", "Fax {}", "please text me at {}"), _shape(*_BARE_PHONES)),
    ),
    "card": (((*_PLAIN, "charged to {} exp 09/27", "Visa {}", "PAN={}"), _card),),
    "iban": (((*_PLAIN, "IBAN: {}", "pay into {} today", "beneficiary {}"), _iban),),
    "ssn": (
        (("{}", "SSN: {}", "his social is {}", "applicant {} (US)"), _ssn("-")),
        (("SSN {}", "Social Security no. {}", "ssn: {}"), _ssn(" ")),
        (("ssn {}", "social security number is {}"), _ssn("")),
    ),
    "passport": (
        (("passport no. {}", "Passport number: {}", "holds passport {}", "PASSPORT #{}",
          "travel on passport no {}", "Passport: {}", "passport nr {}", "my passport number is {}"),
         _shape("#########", "@########", "@@#######", "##@@#####", "@#?@##@##")),
        (("driver's license no. {}", "driving licence {}", "driver license number {}", "ID card no. {}",
          "national ID: {}"),
         _shape("@#######", "@@@@@######@@#@@", "#########")),
    ),
    "account": (
        (("account number {}", "account no. {}", "a/c {}", "acct #{}", "Acct No: {}", "bank account number is {}",
          "A/C no {}", "acc number {}", "Account #: {}", "acct. {}", "debit a/c no. {}", "acc. no. {}"),
         _shape("########", "%#########", "#### #### ####", "##-####-#######", "@@########")),
        (("into account {}", "my account {} was debited", "account: {}"), _shape("%#######", "%#########")),
        (("sort code {}", "Sort code: {}"), _shape("##-##-##", "## ## ##", "4#####")),
        (("routing number {}", "ABA {}", "routing no. {}"), _shape("0########")),
    ),
    "secret": (
        (("{}", "key={}", "I pasted {} by mistake", "export TOKEN={}", '"{}"'), _known_secret),
        (("api key: {}", "API_KEY={}", "client secret is {}", "access token {}", "the token = {}", "token={}",
          "secret key `{}`", "signing-key: {}", '"apiKey": "{}"',
          "AWS_SECRET_ACCESS_KEY={}", "X-Api-Key: {}"), _random_key),
        (("Authorization: Bearer {}", "bearer {}"), _random_key),
        (("password: {}", "my password is {}", "pwd={}", "passphrase: {}", "DB_PASSWORD={}", "'password': '{}'",
          "Password is: {}"), _password),
        (("https://svc:{}@db.example/x", "postgres://admin:{}@10.prod/main"), _password),
        (("{}", "key file {}"), _pem),
    ),
    "ip": (
        (("{}", "login from {}", "host {}:8443", "({})", "blocked {}", "http://{}/admin"), _ipv4),
        (("{}", "peer {}", "address {} flagged", "[{}]"), _ipv6),
    ),
}  # fmt: skip


def _not_a_card(rng: random.Random) -> str:
    body = rng.choice(("4", "51", "37")) + _digits(rng, 14)
    body = body[:15]
    return body + str((int(luhn.calc_check_digit(body)) + rng.randint(1, 9)) % 10)


NEAR_MISSES: Final[Forms] = (
    (("{}", "version {}", "v{}", "release {} is out", "build {}"), _shape("%.#.#", "%.##.#", "1#.#.#")),
    (("version {}", "v{}", "firmware {}", "Chrome {}", "section {}"), _shape("%.#.#.%", "12%.0.%###.1##",
      "%.%.%.%#")),
    (("${}", "at €{} a share", "USD {}", "closed at {}"), _shape("%##.##", "%,###.##", "%.##", "%#,###,###",
      "0.00####")),
    (("volume {}", "{} shares traded", "revenue of {} rupees", "{} units"), _shape("%,###,###", "%##,###,###",
      "% ### ###", "%######")),
    (("order {}", "PO {} shipped", "ref {}", "invoice no. {}"), _not_a_card),
    (("order #{}", "order no. {}", "ticket {}", "ref. {}"), _shape("%#######", "%###########", "@@-%####",
      "2025-####-##")),
    (("ISIN {}", "{}", "bond {}"), _one_of("US0378331005", "DE0007164600", "GB00B03MLX29", "FR0000120271",
      "XS2314659447")),
    (("CUSIP {}", "SEDOL {}", "LEI {}"), _one_of("037833100", "594918104", "B0YBKJ7", "5493001KJTIIGC8Y1R12",
      "HWUPKR0MPOU8FGXBT394")),
    (("on {}", "{}", "due {}", "from {} to 31.12.2025"), _one_of("2025-03-04", "04.03.2025", "03/04/2025",
      "4 March 2025", "20250304", "2025-03-04 10:30:45")),
    (("at {}", "{} GMT", "{}"), _one_of("10:30", "10:30:45", "09:15:00.123", "23:59:59Z", "2025-03-04T10:30:45Z")),
    (("{}", "in {}", "over {}"), _one_of("Q3 2025", "FY 2024-2025", "2019-2024", "2023/24", "1H25",
      "2021 2022 2023 2024")),
    (("up {}", "{}", "yield {}"), _shape("%.##%", "-#.##%", "+%.# pct", "%#.#-%#.# pct", "+%,### jobs")),
    (("{}", "buy {} now", "{} calls"), _one_of("$AAPL", "BRK.B", "$SPX 5100C 03/21/2025", "NYSE: GE", "9988.HK",
      "EUR/USD 1.0823")),
    (("{}", "see {}"), _one_of("https://example.com/a/12345678",
      "http://news.example/2025/03/04/q1-results?id=99887766",
                               "https://t.co/XoxZtI5ZD3", "www.example.org/v1.2.3", "https://x.io/acc/1029384756")),
    (("{}", "trace {}", "commit {}"), _one_of("550e8400-e29b-41d4-a716-446655440000",
      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
                                             "chatcmpl-9XkYb2Qd", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")),
    (("{}",), _one_of(
        "the token rallied 35% after listing", "a password reset was asked for", "his secret is patience",
        "API key rotation policy", "bearer bonds of 1982", "passport to growth 2025", "tokens worth 52114000 dollars",
        "account for 35% of sales", "accounts receivable of 52,114,000", "account opened in 2024",
        "password must change",
        "secret talks in 2025-2026", "the key is 12.5% growth", "private-key-infrastructure vendors",
        "visa rules 2025",
        "call 4500 strike, 12000 contracts", "text of 10-K/A filed 2024", "reach 8600-8700 by May",
        "phone sales 1,250,000",
        "std::vector and a::b", "ratio 2:1:1", "flight BA 2490", "Boeing 747-400", "S&P 500 5100 5200 5300",
        "score 1.2.3", "range 545-550", "levels 5100-5200, then 5300-5400", "40.7128, -74.0060", "CIK 0000320193",
        "accession 0001193125-24-012345", "@trader said $TSLA", "Sensex@22,339", "1 000 000 000 roubles",
        "10.5 20.5 30.5 40.5", "page 3 of 12", "rule 10.2.1.4", "routing of 12,000 parcels", "sort 12 codes",
    )),
)  # fmt: skip
