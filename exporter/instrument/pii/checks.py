"""What tells a real number from digits that look like one: check digits, prefixes, lengths by country."""

# ISO/IEC 7812 prefixes: first digits, lengths. What no issuer uses is no card, whatever its check digit says.
_ISSUERS: tuple[tuple[range, int, frozenset[int]], ...] = (
    (range(4, 5), 1, frozenset({13, 16, 19})),  # Visa
    (range(51, 56), 2, frozenset({16})),  # Mastercard
    (range(2221, 2721), 4, frozenset({16})),
    (range(34, 35), 2, frozenset({15})),  # American Express
    (range(37, 38), 2, frozenset({15})),
    (range(300, 306), 3, frozenset({14, 16})),  # Diners
    (range(36, 37), 2, frozenset({14})),
    (range(38, 40), 2, frozenset({14, 16})),
    (range(3528, 3590), 4, frozenset({16})),  # JCB
    (range(50, 51), 2, frozenset({16})),  # Maestro, RuPay
    (range(56, 66), 2, frozenset({16, 18, 19})),  # Maestro, Discover, RuPay, UnionPay
    (range(67, 68), 2, frozenset({16, 18, 19})),
    (range(81, 83), 2, frozenset({16})),  # RuPay
)
# Verhoeff's tables: the group D5, and the permutation that is applied once a place.
_D5 = tuple(
    tuple((a + b) % 5 + 5 * (b >= 5) if a < 5 else (a - b) % 5 + 5 * (b < 5) for b in range(10))
    for a in range(10)
)
_SHIFT = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_PLACES = [tuple(range(10))]
for _ in range(7):
    _PLACES.append(tuple(_PLACES[-1][_SHIFT[digit]] for digit in range(10)))

# Lengths of the IBAN registry, by country.
IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD FK", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA",
        30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip

# Digits after the country code, least and most; what is not here has six to twelve.
_NATIONAL = {
    "1": (10, 10), "7": (10, 10), "20": (8, 10), "27": (9, 9), "30": (10, 10), "31": (9, 10), "32": (8, 9),
    "33": (9, 10), "34": (9, 9), "36": (8, 9), "39": (6, 11), "40": (9, 9), "41": (9, 10), "43": (6, 13),
    "44": (9, 11), "45": (8, 8), "46": (7, 10), "47": (8, 8), "48": (9, 9), "49": (6, 12), "51": (8, 9),
    "52": (10, 11), "54": (10, 11), "55": (10, 11), "57": (8, 10), "60": (8, 10), "61": (9, 10),
    "62": (8, 12), "63": (8, 10), "64": (8, 10), "65": (8, 8), "66": (8, 9), "81": (9, 11), "82": (8, 11),
    "84": (9, 10), "86": (10, 11), "90": (10, 10), "91": (10, 11), "92": (9, 10), "93": (9, 9),
    "94": (9, 9), "95": (7, 10), "98": (10, 10), "971": (8, 9), "972": (8, 9), "966": (8, 9), "880": (8, 10),
}  # fmt: skip


def luhn(digits: str) -> bool:
    """Say whether the last digit is the check digit of ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) << (place & 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def card(digits: str) -> bool:
    """Say whether these digits can be a payment card: an issuer's prefix, its length, the check digit."""
    for prefixes, width, lengths in _ISSUERS:
        if len(digits) in lengths and int(digits[:width]) in prefixes:
            return luhn(digits)
    return False


def verhoeff(digits: str) -> bool:
    """Say whether the last digit is Verhoeff's check digit, as Aadhaar numbers have it."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _D5[check][_PLACES[place % 8][int(digit)]]
    return check == 0


def aadhaar(digits: str) -> bool:
    """Twelve digits, none of which begins with 0 or 1, with Verhoeff's check digit."""
    return len(digits) == 12 and digits[0] not in "01" and verhoeff(digits)


def ssn(digits: str) -> bool:
    """Nine digits of which area, group and serial have been given out: no 000, 666, 9xx; no 00; no 0000."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def iban(letters: str) -> bool:
    """Say whether these are as many as the country has, with a remainder of 1 (ISO 13616, mod 97)."""
    letters = letters.upper()
    if len(letters) != IBAN_LENGTHS.get(letters[:2]):
        return False
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1


def national(digits: str) -> tuple[int, int] | None:
    """Return least and most digits of an international number that begins so, the country code included.

    None where no country has that code (E.164; a code has one, two or three digits).
    """
    for width in (1, 2, 3):
        if found := _NATIONAL.get(digits[:width]):
            return width + found[0], width + found[1]
    two, third = digits[:2], digits[:3]
    if two in {"53", "56", "58"}:
        return 8, 12
    if two in {
        "21",
        "22",
        "23",
        "24",
        "25",
        "26",
        "29",
        "35",
        "37",
        "38",
        "42",
        "50",
        "59",
        "67",
        "68",
        "69",
    }:
        return 9, 15
    return (9, 15) if third in {"850", "852", "853", "855", "856", "886", "960", "961", "962", "963", "964",
                                "965", "967", "968", "970", "973", "974", "975", "976", "977", "992", "993",
                                "994", "995", "996", "998", "800", "870"} else None  # fmt: skip
