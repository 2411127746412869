"""Markdown in, HTML out: headings, paragraphs, lists, quotes, code, links, emphasis.

HTML in the text is escaped, and links go to http(s), mailto and relative addresses only, so that the
answer may be shown to anybody.
"""

import html
import re

kBytesMax = 1 << 20


def handle(event, context):
    if len(event.body) > kBytesMax:
        return {"statusCode": 413, "body": f"at most {kBytesMax} bytes of Markdown\n"}
    try:
        text = event.body.decode("utf-8")
    except UnicodeDecodeError as error:
        return {"statusCode": 400, "body": f"the body is not UTF-8: byte {error.start}\n"}
    return {"body": render(text), "headers": {"Content-Type": "text/html; charset=utf-8"}}


def render(text):
    lines = text.replace("\r\n", "\n").split("\n")
    blocks = []
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        else:
            blocks.append(block(lines))
    return "\n".join(blocks) + "\n"


def block(lines):
    """Takes the lines of one block away and returns its HTML."""
    first = lines[0]
    if first.startswith("```"):
        lines.pop(0)
        code = take_while(lines, lambda line: not line.startswith("```"))
        del lines[:1]
        return f"<pre><code>{html.escape(chr(10).join(code))}\n</code></pre>"
    if heading := re.match(r"(#{1,6}) +(.*?)[ #]*$", first):
        lines.pop(0)
        level = len(heading[1])
        return f"<h{level}>{inline(heading[2])}</h{level}>"
    if re.fullmatch(r" *([-*_])( *\1){2,} *", first):
        lines.pop(0)
        return "<hr>"
    for pattern, tag in ((r"[-*+] +", "ul"), (r"[0-9]{1,9}[.)] +", "ol")):
        if re.match(pattern, first):
            items = take_while(lines, lambda line: re.match(pattern, line))
            rows = (f"<li>{inline(re.sub(pattern, '', item, count=1))}</li>" for item in items)
            return f"<{tag}>\n" + "\n".join(rows) + f"\n</{tag}>"
    if first.startswith(">"):
        quoted = take_while(lines, lambda line: line.startswith(">"))
        return f"<blockquote><p>{inline(' '.join(line.lstrip('> ') for line in quoted))}</p></blockquote>"
    paragraph = [lines.pop(0)]
    paragraph += take_while(lines, lambda line: line.strip() and not re.match(r"#{1,6} |```|>|[-*+] ", line))
    return f"<p>{inline(' '.join(line.strip() for line in paragraph))}</p>"


def take_while(lines, wanted):
    count = 0
    while count < len(lines) and wanted(lines[count]):
        count += 1
    taken, lines[:] = lines[:count], lines[count:]
    return taken


def inline(text):
    """Code spans are set aside while the text around them is marked up."""
    spans = []

    def set_aside(match):
        spans.append(f"<code>{html.escape(match[1])}</code>")
        return f"\0{len(spans) - 1}\0"

    text = re.sub(r"`([^`]+)`", set_aside, text.replace("\0", ""))
    return re.sub("\0([0-9]+)\0", lambda match: spans[int(match[1])], emphasis(html.escape(text)))


def emphasis(text):
    text = re.sub(r"\[([^\[\]]+)\]\(([^()\s]+)\)", link, text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def link(match):
    label, address = match[1], match[2]
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", address)
    if scheme and scheme[0].lower() not in ("http:", "https:", "mailto:"):
        return match[0]
    return f'<a href="{address}">{label}</a>'
