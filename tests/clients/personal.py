"""Real clients (slixmpp): what an account keeps and shows in one form is there in the others, and what a room remembers.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "ours": ACCOUNT, "theirs": ACCOUNT, "room": ADDRESS}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import base64
import json
import sys
import xml.etree.ElementTree as ET

from chat import DEADLINE, Client
from slixmpp import JID

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Person(Client):
    def __init__(self, account, ca):
        super().__init__(account, ca)
        self.said = asyncio.Queue()
        for plugin in ("xep_0045", "xep_0048", "xep_0049", "xep_0054", "xep_0060", "xep_0084", "xep_0223", "xep_0313",
                       "xep_0402", "xep_0425", "xep_0494"):
            self.register_plugin(plugin)
        self.add_event_handler("groupchat_message", lambda m: m["body"] and self.said.put_nowait(m))


def rooms_in(iq):
    """Addresses of the bookmarks in an answer, whatever their form."""
    found = set()
    for element in iq.xml.iter():
        if element.tag == "{storage:bookmarks}conference":
            found.add(element.get("jid"))
        if element.tag.endswith("}item") and element.find("{urn:xmpp:bookmarks:1}conference") is not None:
            found.add(element.get("id"))
    return found


async def bookmarks(ours, room):
    """Stored as PEP items by one client, read by older ones in both of their ways."""
    payload = ET.fromstring("<conference xmlns='urn:xmpp:bookmarks:1' name='Coven' autojoin='true'><nick>Al</nick></conference>")
    await ours["xep_0060"].publish(ours.boundjid.bare, "urn:xmpp:bookmarks:1", id=room, payload=payload)
    private = ours.make_iq_get()
    private.xml.append(ET.fromstring("<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"))
    answers = [
        await private.send(timeout=DEADLINE),
        await ours["xep_0060"].get_items(ours.boundjid.bare, "storage:bookmarks"),
        await ours["xep_0060"].get_items(ours.boundjid.bare, "urn:xmpp:bookmarks:1"),
    ]
    return [sorted(rooms_in(answer)) == [room] for answer in answers]


async def picture(ours, theirs):
    """Published by one client, seen in the vCard by somebody elsewhere."""
    options = ours["xep_0004"].make_form(ftype="submit")
    options.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    options.add_field(var="pubsub#access_model", value="open")
    await ours["xep_0084"].publish_avatar(PICTURE, options=options)
    name = ours["xep_0084"].generate_id(PICTURE)
    await ours["xep_0084"].publish_avatar_metadata(
        {"id": name, "type": "image/png", "bytes": len(PICTURE)}, options=options
    )
    vcard = await theirs["xep_0054"].get_vcard(JID(ours.boundjid.bare), cached=False, timeout=DEADLINE)
    return vcard["vcard_temp"]["PHOTO"]["BINVAL"] == PICTURE


async def past(client, room):
    """What the room's archive holds."""
    return "".join([str(message) async for message in client["xep_0313"].iterate(jid=JID(room))])


async def memory(ours, theirs, room):
    """Said in a room, looked up by somebody who comes later, and taken back by a moderator."""
    muc = ours["xep_0045"]
    await muc.join_muc_wait(JID(room), "Al", timeout=DEADLINE, maxstanzas=0)
    form = ours["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/muc#roomconfig")
    form.add_field(var="muc#roomconfig_persistentroom", value="1")
    await muc.set_room_config(JID(room), form)
    ours.send_message(mto=JID(room), mbody="rude words", mtype="groupchat")
    heard = await asyncio.wait_for(ours.said.get(), DEADLINE)
    kept = heard.xml.find("{urn:xmpp:sid:0}stanza-id").get("id")
    text = await past(theirs, room)
    found = kept in text and "rude words" in text
    await ours["xep_0425"].moderate(JID(room), kept, "rude")
    text = await past(theirs, room)
    return [found, "rude words" not in text and "retracted" in text]


async def run(plan):
    ours, theirs = (Person(plan[who], plan["ca"]) for who in ("ours", "theirs"))
    for client in (ours, theirs):
        client.start()
    for client in (ours, theirs):
        await asyncio.wait_for(client.ready, DEADLINE)
    result = {
        "bookmarks": await bookmarks(ours, plan["room"]),
        "picture": await picture(ours, theirs),
        "memory": await memory(ours, theirs, plan["room"]),
        "clients": len(list((await ours["xep_0494"].get_clients(timeout=DEADLINE)))),
    }
    for client in (ours, theirs):
        await client.disconnect()
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"personal.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
