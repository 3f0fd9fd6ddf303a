"""Names that a careless page or script would trip over."""

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    'it\'s "quoted"',
    "back\\slash\\",
    "${x} {y} %s",
    "צבע הכפתור",
    "line\u2028and\u2029paragraph",
    "👩‍👧 & co",
)
