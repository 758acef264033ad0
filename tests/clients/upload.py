"""A real client (slixmpp) shares files (XEP-0363): it finds the service, gets a slot, puts a file into it over HTTPS, and gets
it back; what is too large, and what does not fit, is refused with the number.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "account": {"jid", "password", "host", "port"}, "door": {"host", "port"}}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from door import DEADLINE, ask
from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

UPLOAD = "urn:xmpp:http:upload:0"
plan = json.loads(Path(sys.argv[1]).read_text())


async def slot(client, service, name, size, kind):
    iq = client.make_iq_get(ito=service)
    request = ET.Element(f"{{{UPLOAD}}}request", {"filename": name, "size": str(size), "content-type": kind})
    iq.xml.append(request)
    answer = (await iq.send(timeout=DEADLINE)).xml
    got = answer.find(f"{{{UPLOAD}}}slot")
    return got.find(f"{{{UPLOAD}}}put").get("url"), got.find(f"{{{UPLOAD}}}get").get("url")


async def refused(client, service, name, size, kind):
    try:
        await slot(client, service, name, size, kind)
    except IqError as error:
        return error.iq["error"]["condition"], error.iq["error"]["text"]
    raise RuntimeError(f"{size} bytes were not refused")


async def shares(client):
    domain = client.boundjid.domain
    items = await client["xep_0030"].get_items(jid=domain, timeout=DEADLINE)
    for item in items["disco_items"]["items"]:
        info = await client["xep_0030"].get_info(jid=item[0], timeout=DEADLINE)
        if UPLOAD in info["disco_info"]["features"]:
            service = item[0]
            limit = int(info["disco_info"].xml.find(".//{jabber:x:data}field[@var='max-file-size']/").text)
            break
    else:
        raise RuntimeError("no service for files")

    bytes_ = bytes(range(256)) * 5000
    put, get = await slot(client, service, "pixels & more.png", len(bytes_), "image/png")
    loop = asyncio.get_running_loop()
    http_ = lambda *args, **kw: loop.run_in_executor(None, lambda: ask(plan, *args, **kw))  # noqa: E731
    status, _, _ = await http_("GET", get)
    assert status == 404, f"an empty slot: {status}"
    status, _, _ = await http_("PUT", put, body=bytes_[:-1])
    assert status == 413, f"too short: {status}"
    status, _, _ = await http_("PUT", put, body=bytes_, headers={"content-type": "image/png"})
    assert status == 201, f"put: {status}"
    status, _, _ = await http_("PUT", put, body=bytes_)
    assert status == 409, f"put once more: {status}"
    status, headers, body = await http_("GET", get)
    assert (status, body) == (200, bytes_), f"get: {status}, {len(body)} bytes"
    assert headers["content-type"] == "image/png" and headers["content-disposition"].startswith("inline"), headers
    status, headers, body = await http_("GET", get, headers={"range": "bytes=1000-1999"})
    assert (status, body) == (206, bytes_[1000:2000]), f"range: {status}, {len(body)} bytes"
    assert headers["content-range"] == f"bytes 1000-1999/{len(bytes_)}", headers
    status, headers, body = await http_("HEAD", get)
    assert (status, body, headers["content-length"]) == (200, b"", str(len(bytes_))), headers

    page = b"<script>alert(1)</script>"
    put, active = await slot(client, service, "page.html", len(page), "text/html")
    status, _, _ = await http_("PUT", put, body=page)
    assert status == 201, f"put: {status}"
    _, headers, _ = await http_("GET", active)
    assert headers["content-type"] == "application/octet-stream", headers
    assert headers["content-disposition"].startswith("attachment"), headers
    assert "sandbox" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff", headers

    large = await refused(client, service, "x", limit + 1, "x/y")
    assert large[0] == "not-acceptable" and str(limit) in large[1], large
    return {"bytes": len(bytes_), "address": get}


async def run():
    account = plan["account"]
    client = ClientXMPP(account["jid"], account["password"])
    client.ca_certs = Path(plan["ca"])
    client.enable_plaintext = False
    client.register_plugin("xep_0030")
    done = asyncio.get_running_loop().create_future()
    client.add_event_handler("session_start", lambda _: done.set_result(True))
    client.add_event_handler("failed_all_auth", lambda _: done.set_exception(RuntimeError("authentication failed")))
    client.connect(account["host"], account["port"])
    await asyncio.wait_for(done, DEADLINE)
    result = await shares(client)
    await client.disconnect()
    return result


print(json.dumps(asyncio.run(run())))
