"""What is put into bodies and headers: JSON as it may stand on the wire, some of it no JSON at all."""

import base64
import json
import struct
import zlib

KEY = "sk-kestrel-7d1f0a9b3c5e"  # the server's; must be in no reply and no log
STRANGE_KEY = "sk-stranger-4b8e2c6d0f1a"
CANARY = "quokka-words-of-a-patient"  # in texts; must be in no error and no log


def _png(width: int, height: int) -> str:
    head = struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk).decode()


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


TAME = (
    "a small cat",
    f"a text with the canary {CANARY} in it",
    "Ёжик в тумане",
    "東京都は日本の首都です",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦 family",
    "é composed é",
    "line one\nline two\ttab",
    '"quoted" and \\ back',
    "word " * 400,
)
"""Texts that every model of texts takes."""
TEXTS = (
    "",
    " ",
    "\u3000\u2003\n\t",
    "\u200b\u200d\ufeff",
    "\u202eright to left\u202c",
    "a\u0000b",
    "\u0000",
    "\ufffe\uffff",
    "\U0010ffff",
    "Z̸̢̛̙" * 40,
    f"{CANARY} " * 4000,
    "x" * 100_000,
    "字" * 100_000,
    "{{7*7}} ${jndi:ldap://127.0.0.1/a} ' OR 1=1 --",
    "../../../../etc/passwd",
)
"""Texts that a model may refuse."""
NAMES = (
    "",
    " hash ",
    "HASH",
    "hash\u0000",
    "../../etc/passwd",
    "https://example.com/model",
    "модель",
    "n" * 256,
    "n" * 257,
    "n" * 100_000,
    "\u202ehsah",
    "overlap",
    "labels",
    "none",
    "<script>alert(1)</script>",
    "%s%n%x",
)
PICTURES = (
    "data:image/png;base64," + _png(1, 1),
    "data:image/png;base64," + _png(2**31 - 1, 2**31 - 1),
    "data:image/png;base64," + _png(0, 0),
    "data:image/png;base64,",
    "data:image/png,plain",
    "data:text/html;base64,PGI+",
    "data:;base64,AAAA",
    "data:image/png;base64,@@@@",
    "data:image/png;base64,iVBORw0KGgo",
    "data:" + ";a" * 5000 + ",",
    "http://127.0.0.1:1/a.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/",
    "https://user:pass@example.com/a.png",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "R0lGODlhAQABAAAAACw=",
    "AAAA",
    "====",
    "A" * 100_000,
)
NUMBERS = (
    b"0",
    b"-0",
    b"-0.0",
    b"-1",
    b"1",
    b"8",
    b"1.0",
    b"1e0",
    b"1.5",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"2147483647",
    b"2147483648",
    b"9223372036854775808",
    b"18446744073709551616",
    b"1" * 400,
    b"1" * 5000,
)
NO_JSON = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"00",
    b"+1",
    b"1.",
    b".5",
    b"0x10",
    b"1_000",
    b"nul",
    b"True",
    b"'a'",
    b'"a',
    b'"\x00"',
    b'"\n"',
    b'"\\x41"',
    b'"\\u12"',
    b'"\xff\xfe"',
    b'"\xc0\xaf"',
    b'"\xed\xa0\x80"',
    b"",
    b"// a comment",
    b"[1,]",
    b'{"a":1,}',
    b"{a:1}",
)
SURROGATES = (b'"\\ud800"', b'"a \\udfff b"', b'"\\ud83d\\ud83d"', b'"\\udc00\\ud800"')
DEEP = tuple(
    opened * depth + inside + closed * depth
    for depth in (50, 900, 1100, 30_000)
    for opened, inside, closed in ((b"[", b"", b"]"), (b'{"a":', b"1", b"}"))
)
SHAPES = (
    b"null",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"[[]]",
    b"[null]",
    b'[""]',
    b"[{}]",
    b"[0]",
    b"[-1]",
    b"[[1,2],[3]]",
    b'["a",1]',
    b'["a",["b"]]',
    b"[30521,30522,99999999]",
    b"[18446744073709551616]",
    b"[1.5]",
    b'{"text":"a cat"}',
    b'{"image":"AAAA"}',
    b'{"url":"http://127.0.0.1:1/"}',
    b'{"":""}',
    b'{"__proto__":{"a":1}}',
    b'{"source_sentence":"a","sentences":[]}',
    b'[{"type":"image_url","image_url":{"url":"http://127.0.0.1:1/"}}]',
    b'[{"content":[{"type":"text","text":"a"}]}]',
    b'[{"content":[]}]',
    b'["' + b'","'.join([b"a"] * 2049) + b'"]',
    b"[" + b",".join([b"1"] * 20_000) + b"]",
    b'"float"',
    b'"base64"',
    b'["float","int8","uint8","binary","ubinary","base64"]',
    b'["float","float"]',
    b'"query"',
    b'"search_query"',
    b'"NONE"',
    b'"left"',
    b'"image"',
    b'"audio"',
    b'"visual"',
)
FRAGMENTS = (
    *map(_text, (*TAME, *TEXTS, *NAMES, *PICTURES)),
    *(NUMBERS * 2),
    *NO_JSON,
    *SURROGATES,
    *DEEP,
    *(SHAPES * 2),
)
KEYS = (b'"x"', b'""', b'"model"', b'"Model"', b'"\\u006dodel"', b'"\\u0000"', b'"\\ud800"', b'"' + b"k" * 5000 + b'"')

TIMEOUTS = (
    b"60",
    b"0.5",
    b"1e1",
    b"86400",
    b"86401",
    b"0",
    b"-1",
    b"-0.0",
    b"nan",
    b"inf",
    b"-inf",
    b"1e999",
    b"1e-400",
    b"0.0000001",
    b"1_0",
    b"+5",
    b"0x10",
    b"",
    b"5 5",
    b"five",
    b"9" * 500,
    b"\xb2",
    b"\xd9\xa1",
)
PRIORITIES = (b"interactive", b"bulk", b"", b"BULK", b"urgent", b"bulk, bulk", b"\xff", b"b" * 5000)
CALLERS = (b"me", b"", b"c" * 256, b"c" * 257, b"\xff\xfe", b"a\tb", b"<script>", b'" } 1')
REQUEST_IDS = (
    b"mine-1",
    b"a" * 128,
    b"a" * 129,
    b"",
    b"two words",
    b"\xff",
    b"\xe2\x80\xae",
    b"<b>",
    b"a%0d%0ab: c",
    b'"',
)
KEYS_GIVEN = (
    f"Bearer {STRANGE_KEY}".encode(),
    b"Bearer",
    b"Bearer ",
    b"bearer  " + KEY.encode() + b"x",
    b"Basic " + base64.b64encode(f"a:{KEY}".encode()),
    KEY.encode(),
    b"Bearer \xff\xfe",
    b"Bearer " + b"k" * 20_000,
    b"Bearer a, Bearer b",
    b"",
)
MEDIA_TYPES = (
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=x",
    b"application/json; charset=utf-16",
    b"",
    b"\xff",
    b"application/xml",
)
CODINGS = (b"gzip", b"deflate", b"br", b"identity", b"gzip, identity", b"x" * 3000, b"\xff", b"")
QUERIES = (
    b"?",
    b"?model=hash",
    b"?input=a&inputs=b&text=c",
    b"?a=%00%ff%",
    b"?" + b"a=b&" * 1000,
    b"?%F0%9F%98%80",
    b'?{"input":"a"}',
    b"?__proto__[a]=1",
)
