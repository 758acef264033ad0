"""What passes between an account here and one at another server, beside words (slixmpp): events (XEP-0163), receipts (XEP-0184),
ids of the archive (XEP-0359), the address of a file (XEP-0066).

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "ours": ACCOUNT, "theirs": ACCOUNT}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
from xml.etree import ElementTree as ET

from chat import DEADLINE, Client, subscribe
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

TUNE = "http://jabber.org/protocol/tune"
EVENT = "http://jabber.org/protocol/pubsub#event"
IDS = "urn:xmpp:sid:0"


class Person(Client):
    def __init__(self, account, ca):
        super().__init__(account, ca)
        self.receipts, self.events, self.heard = (asyncio.Queue() for _ in range(3))
        for plugin in ("xep_0060", "xep_0115", "xep_0163", "xep_0184", "xep_0066", "xep_0313", "xep_0359"):
            self.register_plugin(plugin)
        self.plugin["xep_0184"].auto_ack = True
        self.add_event_handler("receipt_received", self.receipts.put_nowait)
        self.add_event_handler("message", lambda m: m["body"] and self.heard.put_nowait(m))
        event = MatchXPath(f"{{jabber:client}}message/{{{EVENT}}}event")
        self.register_handler(Callback("tunes", event, self.heard_of))

    def heard_of(self, message):
        for items in message.xml.iter(f"{{{EVENT}}}items"):
            if items.get("node") == TUNE:
                title = items.find(f".//{{{TUNE}}}title")
                self.events.put_nowait((message["from"].bare, title.text if title is not None else None))

    async def started(self, event):
        # Interest is said in the first presence, as clients do.
        self.plugin["xep_0163"].add_interest(TUNE)
        await self.plugin["xep_0115"].update_caps()
        await super().started(event)

    async def plays(self, title):
        tune = ET.fromstring(f"<tune xmlns='{TUNE}'><title>{title}</title></tune>")
        await self.plugin["xep_0060"].publish(self.boundjid.bare, TUNE, payload=tune, timeout=DEADLINE)


async def soon(queue):
    return await asyncio.wait_for(queue.get(), DEADLINE)


def expect(what, want, got):
    if want != got:
        raise RuntimeError(f"{what}: expected {want!r}, got {got!r}")


async def hears_event(who, of, title):
    while (got := await soon(who.events)) != (of.boundjid.bare, title):
        if got[0] != who.boundjid.bare:
            raise RuntimeError(f"{who.boundjid} of {of.boundjid}: expected {title!r}, got {got}")


async def receipt(a, b):
    message = a.make_message(mto=b.boundjid.full, mbody="do you hear?", mtype="chat")
    message["request_receipt"] = True
    id_ = message.send() or message["id"]
    expect("asked", "do you hear?", (await soon(b.heard))["body"])
    got = await soon(a.receipts)
    expect("receipt", message["id"], got["receipt"])
    return id_


async def named(ours, theirs):
    """The archive's id is the archive's, whoever claims to have given one in our domain's name."""
    own = ours.boundjid.bare
    message = theirs.make_message(mto=ours.boundjid.full, mbody="by which name?", mtype="chat")
    message.xml.append(ET.fromstring(f"<stanza-id xmlns='{IDS}' by='{own}' id='forged'/>"))
    message.xml.append(ET.fromstring(f"<origin-id xmlns='{IDS}' id='their-own'/>"))
    message.send()
    got = await soon(ours.heard)
    ids = [e.get("id") for e in got.xml.iter(f"{{{IDS}}}stanza-id") if e.get("by") == own]
    expect("one id of ours", 1, len(ids))
    expect("which is not theirs", False, ids[0] == "forged")
    expect("theirs stays theirs", "their-own", got.xml.find(f"{{{IDS}}}origin-id").get("id"))
    kept = None
    while kept is None:
        # It is heard before it is committed.
        async for found in ours.plugin["xep_0313"].iterate(with_jid=theirs.boundjid.bare, rsm={"max": 50}):
            if found["mam_result"]["id"] == ids[0]:
                kept = found["mam_result"]["forwarded"]["stanza"]["body"]
    expect("kept under it", "by which name?", kept)


async def link(a, b):
    address = "https://upload.example/a%20b/c.png?x=1&y=2"
    message = a.make_message(mto=b.boundjid.full, mbody=address, mtype="chat")
    message["oob"]["url"] = address
    message.send()
    got = await soon(b.heard)
    expect("address", (address, address), (got["body"], got["oob"]["url"]))


async def run(plan):
    ours, theirs = (Person(plan[who], plan["ca"]) for who in ("ours", "theirs"))
    people = (ours, theirs)
    for one in people:
        one.start()
    for one in people:
        await asyncio.wait_for(one.ready, DEADLINE)
    for a, b in ((ours, theirs), (theirs, ours)):
        if a.client_roster[b.boundjid.bare]["subscription"] not in ("to", "both"):
            await subscribe(a, b)
    for a, b in ((ours, theirs), (theirs, ours)):
        await receipt(a, b)
        await link(a, b)
        await a.plays(f"by {a.boundjid.user}")
        await hears_event(b, a, f"by {a.boundjid.user}")
    await named(ours, theirs)
    for one in people:
        await one.disconnect()
    print(json.dumps({"crossed": ["events", "receipts", "ids", "links"]}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"crossing.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
