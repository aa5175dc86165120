"""What is meant by the words of a search: as they stand, as the beginning of one, or with their typing errors undone.

The index is asked which words there are. A word that no product bears is mended towards words of products that bear
something near it, most popular products first: an automaton finds those, so no dictionary is kept in memory.
"""

from dataclasses import dataclass

from tantivy import Query, Searcher

from shop.searching.index_folder import PLAIN, SCHEMA, STEMS, WORTH

LONGEST = 200  # characters of a search
MOST_WORDS = 12
MOST_MENDED = 3  # looking for what was meant is what costs; who errs more often than that is not searching
_SHORTEST_MENDED = 3  # below it everything is near everything
_SHORTEST_BEGINNING_MENDED = 4
_SHORTEST_MENDED_TWICE = 7
_LOOKED_AT = 24  # products that a mended word may come from
_MOST_ENDINGS = 8
_SHORTEST_BEGINNING = 2


class BadSearch(ValueError):
    """What is asked for cannot be looked for; the message says why, in words for the visitor."""


@dataclass(frozen=True, slots=True)
class Word:
    """`said`: as it is shown; `stems`: any of which is meant, none for a word that no product bears; `mended`: whether
    it is another one than was typed."""

    said: str
    stems: tuple[str, ...]
    mended: bool = False


def typed(text: str) -> list[str]:
    """The words of a text, in small letters without accents. What engines take for commands is taken for spaces.
    Raises `BadSearch`."""
    if len(text) > LONGEST:
        raise BadSearch(f"Please search for less at once: at most {LONGEST} characters.")
    words = list(dict.fromkeys(PLAIN.analyze(text)))
    if len(words) > MOST_WORDS:
        raise BadSearch(f"Please search for less at once: at most {MOST_WORDS} words.")
    return words


def understood(searcher: Searcher, words: list[str]) -> list[Word]:
    """What is meant by each word, without those that mean nothing (`the`, `of`). The last one may be incomplete. At
    most `MOST_MENDED` are mended."""
    known = [(word, _as_it_stands(searcher, word, may_go_on=word is words[-1])) for word in words if stem(word)]
    unknown = [word for word, stems in known if not stems][:MOST_MENDED]
    return [_mended(searcher, word) if word in unknown else Word(word, stems) for word, stems in known]


def _as_it_stands(searcher: Searcher, word: str, *, may_go_on: bool) -> tuple[str, ...]:
    """The stems that are meant; none for a word that no product bears."""
    if is_known(searcher, stem(word)):
        return (stem(word),)
    endings = completed(searcher, word) if may_go_on else ()
    return tuple(dict.fromkeys(stem(ending) or ending for ending in endings))


def _mended(searcher: Searcher, word: str) -> Word:
    better = mended(searcher, word)
    return Word(better, (stem(better) or better,), mended=True) if better else Word(word, ())


def stem(word: str) -> str:
    """The part that is looked for; "" for a word that means nothing."""
    return next(iter(STEMS.analyze(word)), "")


def is_known(searcher: Searcher, its_stem: str) -> bool:
    return any(searcher.doc_freq(field, its_stem) for field in WORTH)


def completed(searcher: Searcher, beginning: str, *, among: Query | None = None) -> tuple[str, ...]:
    """Words that begin so, the most frequent first, each in its most frequent form; of the products that `among`
    finds."""
    if len(beginning) < _SHORTEST_BEGINNING:
        return ()
    found = searcher.terms_with_prefix("words", beginning, filter_query=among, limit=2 * _MOST_ENDINGS)
    forms = {stem(word) or word: word for word, _ in reversed(found)}
    return tuple(word for word, _ in found if forms[stem(word) or word] == word)[:_MOST_ENDINGS]


def mended(searcher: Searcher, word: str, *, beginning: bool = False) -> str:
    """The word that was probably meant, or its beginning; "" when nothing is near. The nearest, then the most frequent.
    Numbers are taken as they are, and of a beginning the first letter."""
    shortest = _SHORTEST_BEGINNING_MENDED if beginning else _SHORTEST_MENDED
    if len(word) < shortest or any(letter.isdigit() for letter in word):
        return ""
    for errors in (1, 2) if len(word) >= _SHORTEST_MENDED_TWICE else (1,):
        near = _near(searcher, word, errors=errors, beginning=beginning)
        if near:
            return max(sorted(near), key=lambda one: searcher.doc_freq("words", one))
    return ""


def _near(searcher: Searcher, word: str, *, errors: int, beginning: bool) -> set[str]:
    """Words of popular products that are so many errors away, or begin so."""
    query = Query.fuzzy_term_query(SCHEMA, "words", word, errors, prefix=beginning)
    found = searcher.search(query, _LOOKED_AT, count=False, weight_by_field="weight").hits
    texts = (searcher.doc(address)["words"][0] for _, address in found)
    words = {one for text in texts for one in PLAIN.analyze(text)}
    if beginning:
        return {one for one in words if one[0] == word[0] and _begins_nearly(one, word, errors=errors)}
    return {one for one in words if errors_between(word, one) <= errors}


def _begins_nearly(one: str, beginning: str, *, errors: int) -> bool:
    lengths = range(len(beginning) - errors, len(beginning) + errors + 1)
    return any(errors_between(beginning, one[:length]) <= errors for length in lengths)


def errors_between(one: str, other: str) -> int:
    """Letters to add, drop, change, or swap with their neighbour to make one word of the other."""
    if abs(len(one) - len(other)) > 2:
        return 3  # more than anybody asks for
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, its in enumerate(other, start=1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
