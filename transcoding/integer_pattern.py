"""The whole numbers of a range as a regular expression over their decimal text, for JSON Schema, which bounds numbers only."""


def integer_pattern(least: int, most: int) -> str:
    """Matches the text of each whole number from `least` to `most`, without leading zeros, and no other text."""
    parts = []
    if least < 0:
        parts += [f"-{part}" for part in _parts(max(1, -most), -least)]
    if most >= 0:
        parts += _parts(max(0, least), most)
    return f"^(?:{'|'.join(parts)})$"


def _parts(least: int, most: int) -> list[str]:
    """Of numbers from 0 on, by length: those of one length share a tree of digits."""
    parts = []
    for length in range(len(str(least)), len(str(most)) + 1):
        low = max(least, 10 ** (length - 1) if length > 1 else 0)
        high = min(most, 10**length - 1)
        if low <= high:
            parts.append(_digits(str(low), str(high)))
    return parts


def _digits(low: str, high: str) -> str:
    """Numbers of one length, as a tree over the first digit in which the bounds differ."""
    if not low:
        return ""
    if low[0] == high[0]:
        return low[0] + _digits(low[1:], high[1:])
    rest = len(low) - 1
    options = []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        options.append(low[0] + _digits(low[1:], "9" * rest))
        first += 1
    if high[1:] != "9" * rest:
        last -= 1
    if first <= last:
        options.append((f"[{first}-{last}]" if first < last else str(first)) + (f"[0-9]{{{rest}}}" if rest > 1 else "[0-9]" * rest))
    if high[1:] != "9" * rest:
        options.append(high[0] + _digits("0" * rest, high[1:]))
    return options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"
