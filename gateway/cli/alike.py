"""Which of many names are most like what a person typed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar
from unicodedata import normalize

from rapidfuzz import fuzz, utils

_ALIKE: Final = 70.0  # of 100: below it, two words are not one word spelled differently
_WHOLE: Final = 100.0
_INSIDE: Final = 90.0  # "gram" in "telegram": found, after what begins so
_SHORT: Final = 4  # characters: a shorter word has too few letters to be spelled wrong
_T = TypeVar("_T")


def best(text: str, among: Sequence[_T], words: Callable[[_T], str], limit: int) -> list[_T]:
    """Those that have a word like each word of `text`, best first, at most `limit`; the first ones where it is empty.

    What is found is as good as the worst of its words. Each different word is compared once, however many have it.
    """
    if not text.strip():
        return list(among[:limit])
    wanted = _split(text)
    if not wanted:
        return []
    having = [_split(words(one)) for one in among]
    scores = [_scores(word, {word for one in having for word in one}) for word in wanted]
    found = []
    for place, one in enumerate(having):
        score = tuple(sorted(max((known.get(word, 0.0) for word in one), default=0.0) for known in scores))
        if score[0] > 0:
            found.append((score, place))
    found.sort(key=lambda one: (tuple(-score for score in one[0]), one[1]))
    return [among[place] for _, place in found[:limit]]


def _scores(wanted: str, words: Iterable[str]) -> dict[str, float]:
    """How like the word each of `words` is, where it is like it at all."""
    return {word: score for word in words if (score := _score(wanted, word))}


def _score(wanted: str, word: str) -> float:
    if word.startswith(wanted):
        return _WHOLE
    if wanted.isdigit() or len(wanted) < _SHORT:  # one id is not another one spelled wrong
        return _INSIDE if len(wanted) > 1 and not wanted.isdigit() and wanted in word else 0.0
    return _INSIDE if wanted in word else fuzz.ratio(wanted, word, score_cutoff=_ALIKE)


def _split(text: str) -> list[str]:
    """Panels write names in letters meant for mathematics; people search for them in plain ones."""
    return utils.default_process(normalize("NFKC", text)).split()
