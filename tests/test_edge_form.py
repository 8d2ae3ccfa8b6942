"""A request read into a flat form, in every manner that customers' clients have of sending one."""

import json

import pytest

from gateway.api_v2.asgi import MAX_BODY
from gateway.api_v2.form import MAX_FIELDS, Form, read_form
from gateway.api_v2.ids import MAX_READ, MAX_WRITE, Ids, ids
from gateway.errors import BadForm

FORM = b"application/x-www-form-urlencoded"


def form(body: bytes | str = b"", query: bytes = b"", content_type: bytes = FORM) -> Form:
    return read_form(query, body.encode() if isinstance(body, str) else body, content_type)


def sent_json(**members: object) -> Form:
    return form(json.dumps(members))


def asked(read: Form, one: str = "order") -> Ids:
    return ids(read, one, at_most=MAX_READ)


def parts(*fields: tuple[str, str], boundary: str = "----x") -> bytes:
    written = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    return ("".join(written) + f"--{boundary}--\r\n").encode()


def sent_multipart(body: bytes, boundary: str = "----x") -> Form:
    return form(body, content_type=f"multipart/form-data; boundary={boundary}".encode())


def refusal(body: bytes | str, query: bytes = b"", content_type: bytes = FORM) -> str:
    with pytest.raises(BadForm) as refused:
        form(body, query, content_type)
    return refused.value.words


# The kinds of body


def test_the_classic_php_class_sends_urlencoded() -> None:
    read = form("key=abc&action=add&service=1&link=https%3A%2F%2Fx.example%2Fp%3Fa%3D1%262&quantity=1000")
    assert read.one("link") == "https://x.example/p?a=1&2"
    assert (read.one("key"), read.one("action"), read.one("quantity")) == ("abc", "add", "1000")


def test_a_client_that_does_not_encode_its_letters_is_read_all_the_same() -> None:
    assert form("action=add&comments=очень красиво").one("comments") == "очень красиво"


def test_a_plus_is_a_blank_and_an_encoded_plus_a_plus() -> None:
    assert form("comments=a+b&link=a%2Bb").one("comments") == "a b"
    assert form("comments=a+b&link=a%2Bb").one("link") == "a+b"


def test_a_percent_that_encodes_nothing_stays() -> None:
    assert form("link=100%&comments=5%zz").one("link") == "100%"


def test_axios_and_python_json_send_an_object() -> None:
    read = sent_json(key="k", action="add", service=7, quantity=100, link="https://x.example/ü")
    assert (read.one("service"), read.one("quantity"), read.one("link")) == ("7", "100", "https://x.example/ü")


@pytest.mark.parametrize("content_type", [b"", FORM, b"text/plain", b"application/json; charset=utf-8"])
@pytest.mark.parametrize("before", [b"", b" \r\n\t", b"\xef\xbb\xbf"])
def test_json_is_known_by_its_brace_whatever_the_header_says(content_type: bytes, before: bytes) -> None:
    assert form(before + b'{"action": "balance"}', content_type=content_type).one("action") == "balance"


def test_php_curl_with_an_array_sends_multipart() -> None:
    read = sent_multipart(
        parts(("key", "k"), ("action", "add"), ("comments", "one\r\ntwo"), ("link", "ü"), ("runs", ""))
    )
    assert (read.one("action"), read.one("comments"), read.one("link")) == ("add", "one\r\ntwo", "ü")
    assert read.one("runs") == ""


def test_a_multipart_header_is_known_in_any_case_and_with_quotes() -> None:
    body = parts(("action", "balance"), boundary="b c")
    assert form(body, content_type=b'Multipart/Form-Data; charset=utf-8; boundary="b c"').one("action") == "balance"


def test_a_multipart_header_set_by_hand_over_another_body_does_not_count() -> None:
    assert form("key=k&action=balance", content_type=b"multipart/form-data").one("action") == "balance"
    assert form('{"action": "balance"}', content_type=b"multipart/form-data").one("action") == "balance"


def test_old_smartpanel_puts_everything_into_the_query() -> None:
    read = form(b"", b"key=k&action=status&order=5")
    assert (read.one("key"), read.one("order")) == ("k", "5")


def test_query_and_body_are_merged_and_the_body_wins() -> None:
    read = form("order=2&orders=7", b"key=k&action=status&order=1&orders=5,6")
    assert (read.one("key"), read.one("order"), read.many("orders")) == ("k", "2", ["7"])


def test_blanks_around_a_value_do_not_count() -> None:
    assert form(" key = k \r\n&action=balance\n").one("key") == "k"
    assert form(" key = k \r\n&action=balance\n").one("action") == "balance"


# Names


@pytest.mark.parametrize(
    "body",
    [
        "orders=1,2,10",
        "orders=1, 2, 10",
        "orders=1+2+10",
        "orders=1%0A2%0D%0A10",
        "orders[]=1&orders[]=2&orders[]=10",
        "orders%5B%5D=1&orders%5B%5D=2&orders%5B%5D=10",
        "orders[0]=1&orders[1]=2&orders[2]=10",
        "orders=1&orders=2&orders=10",
        "orders=,1,,2,10,",
        "order=1,2,10",
        "order[]=1&order[]=2&order[]=10",
        '{"orders": [1, "2", 10]}',
        '{"orders": ["1,2", 10, null]}',
        '{"orders": "1,2,10"}',
        '{"order": [1, 2, 10]}',
        '{"orders[0]": 1, "orders[1]": 2, "orders[2]": 10}',
    ],
)
def test_a_list_of_ids_is_one_list_however_a_client_writes_it(body: str) -> None:
    assert asked(form(body)) == Ids((1, 2, 10), many=True)


def test_one_id_is_many_in_orders_and_one_in_order() -> None:
    assert asked(form("orders=1")) == Ids((1,), many=True)
    assert asked(form("orders[]=1")) == Ids((1,), many=True)
    assert asked(form("order=1")) == Ids((1,), many=False)
    assert asked(form("order=1,")) == Ids((1,), many=False)


def test_orders_goes_before_order_unless_it_is_empty() -> None:
    assert asked(form("order=5&orders=1,2")).asked == (1, 2)
    assert asked(form("order=5&orders=")) == Ids((5,), many=False)


def test_an_id_asked_twice_is_answered_once_in_the_order_asked() -> None:
    assert asked(form("orders=3,1,3,01,2")).asked == (3, 1, 2)


def test_what_is_no_id_is_kept_as_it_was_sent_and_never_looked_up() -> None:
    read = asked(form("orders=5,abc,-1,1e3,%D9%A3,0,2147483647,2147483648," + "9" * 31))
    assert read.asked == (5, "abc", "-1", "1e3", "٣", 0, 2147483647, 2147483648, "9" * 31)
    assert read.numbers() == [5, 2147483647]


def test_a_long_text_in_place_of_an_id_is_not_echoed_whole() -> None:
    assert asked(form("orders=" + "<" * 500)).asked == ("<" * 32,)


@pytest.mark.parametrize("body", ["", "order=", "orders=,%20,", "orders[]="])
def test_a_call_about_no_order_is_refused(body: str) -> None:
    with pytest.raises(BadForm, match=r"^Incorrect order ID$"):
        asked(form(body))


def test_a_call_about_no_refill_is_refused_in_its_words() -> None:
    with pytest.raises(BadForm, match=r"^Refill not found$"):
        asked(form("action=refill_status"), "refill")


@pytest.mark.parametrize("at_most", [MAX_WRITE, MAX_READ])
@pytest.mark.parametrize("written", ["repeated", "comma"])
def test_ids_are_taken_up_to_the_limit_and_refused_above_it(at_most: int, written: str) -> None:
    def sent(count: int) -> Form:
        numbers = [str(number) for number in range(1, count + 1)]
        return form("orders=" + ",".join(numbers) if written == "comma" else "&".join(f"orders[]={n}" for n in numbers))

    assert len(ids(sent(at_most), "order", at_most=at_most).asked) == at_most
    with pytest.raises(BadForm, match=r"^Incorrect order IDs: more than"):
        ids(sent(at_most + 1), "order", at_most=at_most)


def test_ids_repeated_beyond_the_limit_are_refused_like_different_ones() -> None:
    with pytest.raises(BadForm, match=r"^Incorrect order IDs"):
        ids(form("orders=" + ",".join(["1"] * 101)), "order", at_most=100)


# Fields sent twice, and what no form can hold


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("quantity", "Incorrect quantity"),
        ("link", "Incorrect link"),
        ("service", "Incorrect service ID"),
        ("order", "Incorrect order ID"),
        ("refill", "Refill not found"),
        ("key", "Invalid API key"),
        ("action", "Incorrect request"),
    ],
)
@pytest.mark.parametrize("body", ["{}=1&{}=2", '{{"{}": "1", "{}": "2"}}'])
def test_a_field_sent_twice_with_different_values_is_that_fields_error(body: str, field: str, words: str) -> None:
    read = form(body.format(field, field))
    with pytest.raises(BadForm) as refused:
        read.one(field)
    assert refused.value.words == words


def test_a_field_sent_twice_with_one_value_is_that_value() -> None:
    assert form("quantity=5&quantity=5 &quantity= 5").one("quantity") == "5"
    assert form('{"quantity": 5, "quantity": "5"}').one("quantity") == "5"


@pytest.mark.parametrize(
    "value", ["1.5", "100.0", "1e3", "true", "false", "NaN", "-Infinity", '{"a": 1}', "[[1]]", "[1, 2]"]
)
def test_json_that_is_neither_text_nor_integer_is_that_fields_error_and_no_others(value: str) -> None:
    read = form(f'{{"action": "add", "quantity": {value}}}')
    assert read.one("action") == "add"
    with pytest.raises(BadForm, match=r"^Incorrect quantity$"):
        read.one("quantity")


def test_a_json_list_with_a_fraction_in_it_is_refused_whole() -> None:
    with pytest.raises(BadForm, match=r"^Incorrect order ID$"):
        asked(form('{"orders": [1, 2.0]}'))


def test_json_null_is_a_field_that_was_not_sent() -> None:
    assert sent_json(runs=None).one("runs") == ""


@pytest.mark.parametrize("body", ["link=a%00b", "link=a\0b", '{"link": "a\\u0000b"}'])
def test_a_nul_is_that_fields_error(body: str) -> None:
    with pytest.raises(BadForm, match=r"^Incorrect link$"):
        form(body).one("link")


def test_half_of_a_surrogate_pair_is_that_fields_error() -> None:
    with pytest.raises(BadForm, match=r"^Incorrect link$"):
        form('{"link": "a\\ud800"}').one("link")


# Requests that cannot be read


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"link=%ff", FORM),
        (b"link=\xff", FORM),
        (b"\xff=1&a=%20", FORM),
        (b'{"link": "\xff"}', b"application/json"),
        (parts(("link", "?")).replace(b"?", b"\xff"), b"multipart/form-data; boundary=----x"),
    ],
)
def test_what_is_not_utf_8_is_refused(body: bytes, content_type: bytes) -> None:
    assert refusal(body, content_type=content_type) == "Incorrect request: not UTF-8"


@pytest.mark.parametrize("body", ["{", '{"a": 1', '{"a": 1} x', "{'a': 1}", '{"a": "\n"}', '{"a":' + "[" * 100_000])
def test_broken_or_bottomless_json_is_refused(body: str) -> None:
    assert refusal(body) == "Incorrect request: not JSON"


def test_a_number_of_a_quarter_million_digits_costs_nothing() -> None:
    assert len(form('{"quantity": ' + "9" * 250_000 + "}").one("quantity")) == 250_000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"key=k", b"multipart/form-data; boundary="),
        (b"key=k", b"multipart/form-data; boundary=----x"),
        (b"------x\r\n\r\nvalue\r\n------x--\r\n", b"multipart/form-data; boundary=----x"),
        (parts(("a", "b")), b"multipart/form-data; boundary=other"),
        (parts(("a", "b")), b"multipart/form-data; boundary=" + b"x" * 5000),
    ],
)
def test_a_broken_multipart_body_is_refused(body: bytes, content_type: bytes) -> None:
    assert refusal(body, content_type=content_type).startswith("Incorrect request: ")


def test_a_multipart_body_cut_short_is_refused_though_its_fields_were_whole() -> None:
    body = parts(("key", "k"), ("quantity", "10"), ("comments", "one\r\ntwo"))
    cut = body[: body.rindex(b"two")]
    assert refusal(cut, content_type=b"multipart/form-data; boundary=----x") == "Incorrect request: cut short"


@pytest.mark.parametrize("disposition", ['name="comments"; filename="c.txt"', 'name="comments"; filename=""'])
def test_files_are_refused(disposition: str) -> None:
    body = f"------x\r\nContent-Disposition: form-data; {disposition}\r\n\r\none\r\n------x--\r\n".encode()
    words = refusal(body, content_type=b"multipart/form-data; boundary=----x")
    assert words == "Incorrect request: files are not accepted"


def many_fields(count: int, kind: str) -> Form:
    names = [f"f{number}" for number in range(count)]
    if kind == "json":
        return sent_json(**dict.fromkeys(names, 1))
    if kind == "multipart":
        return sent_multipart(parts(*((name, "1") for name in names)))
    return form("&".join(f"{name}=1" for name in names))


@pytest.mark.parametrize("kind", ["urlencoded", "json", "multipart"])
def test_fields_are_taken_up_to_64_and_refused_above(kind: str) -> None:
    assert len(many_fields(MAX_FIELDS, kind).fields) == MAX_FIELDS
    with pytest.raises(BadForm, match=r"^Incorrect request: more than 64 fields$"):
        many_fields(MAX_FIELDS + 1, kind)


def test_one_field_sent_65_times_is_65_fields() -> None:
    assert refusal("&".join(["a=1"] * 65)) == "Incorrect request: more than 64 fields"


def test_a_thousand_ids_are_no_fields() -> None:
    pairs = [f"f{number}=1" for number in range(MAX_FIELDS)] + [f"orders[{number}]={number}" for number in range(1000)]
    read = form("&".join(pairs))
    assert len(read.many("orders")) == 1000
    assert len(sent_multipart(parts(*(("refills[]", "1") for _ in range(1000)))).many("refills")) == 1000


def test_ampersands_without_end_are_not_worked_through() -> None:
    assert refusal("&" * 200_000) == "Incorrect request: more than 64 fields"


def test_parts_without_end_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api_v2.form.multipart", lambda *_: pytest.fail("it was parsed"))
    body = parts(*((f"f{number}", "") for number in range(3000)))
    assert len(body) < MAX_BODY
    words = refusal(body, content_type=b"multipart/form-data; boundary=----x")
    assert words == "Incorrect request: more than 64 fields"


def test_a_query_has_the_cap_of_a_body() -> None:
    assert refusal(b"", b"a=" + b"1" * MAX_BODY) == "Incorrect request: larger than 256 KiB"
