"""An evening of ordinary clients (slixmpp, slixmpp-omemo) at two hosted domains and a Prosody: contacts, avatars, encrypted
chats, a file, a room, and a second device that catches up; in the middle of it, the server of the hosted domains is killed.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "alice": ACCOUNT, "bob": ACCOUNT, "romeo": ACCOUNT, "room": ADDRESS, "door": {"host", "port"}}
Alice and Bob are at hosted domains, Romeo is elsewhere. Prints how far they are: "flowing" when many messages are under way, and
goes on writing until the server is gone; with the server back, everybody must come to hold everything that was acknowledged. The last line is
"over: " and one JSON object. Whatever is missing is said, with exit status 1.
"""

import asyncio
import io
import json
import sys
from xml.etree import ElementTree as ET

from chat import DEADLINE, subscribe
from door import ask
from guest import Guest
from omemo.session_manager import MessageNotForUs
from personal import PICTURE, picture
from slixmpp.plugins.xep_0454 import XEP_0454

UPLOAD = "urn:xmpp:http:upload:0"
# Acknowledged messages of each writer before the server may be killed, and how many may be under way.
ENOUGH = 130
WINDOW = 25


def expect(what, want, got):
    if want != got:
        raise RuntimeError(f"{what}: expected {want!r}, got {got!r}")


async def contacts(people):
    """Everybody is on everybody's list, in both directions."""
    for one in people:
        for other in people:
            if one is not other and one.client_roster[other.boundjid.bare]["subscription"] != "both":
                await subscribe(one, other)
    for one in people:
        await one.get_roster()
        for other in people:
            if one is not other:
                expect("contact", "both", one.client_roster[other.boundjid.bare]["subscription"])


async def avatars(alice, others):
    """Published once, announced to contacts, and in the vCard for whoever asks there."""
    for other in others:
        expect("picture", True, await picture(alice, other))
        event = await asyncio.wait_for(other.avatars.get(), DEADLINE)
        expect("who shows it", alice.boundjid.bare, event["from"].bare)


async def chats(alice, bob, romeo):
    """Encrypted, each with each, within the platform and across to the peer."""
    people = (alice, bob, romeo)
    for one in people:
        await one.looks_up_devices(other for other in people if other is not one)
    for a in people:
        for b in people:
            if a is b:
                continue
            for n in range(2):
                id_, body = f"{a.boundjid.user}-{b.boundjid.user}-{n}", f"{a.boundjid.user} #{n} <&> ☃"
                locked = await a.message(b.boundjid.bare, id_, body, [b.boundjid])
                expect("nothing in the clear", False, body in str(locked))
                a.say(locked)
                await b.hears(id_, body)


async def file(place, alice, bob):
    """A file is encrypted, put at its slot, and its address with the key sent encrypted (XEP-0363, XEP-0454)."""
    bytes_ = PICTURE * 50
    locked, key = XEP_0454.encrypt(io.BytesIO(bytes_))
    iq = alice.make_iq_get(ito=f"upload.{alice.boundjid.domain}")
    iq.xml.append(ET.Element(f"{{{UPLOAD}}}request", {"filename": "a.png", "size": str(len(locked)), "content-type": "image/png"}))
    slot = (await iq.send(timeout=DEADLINE)).xml.find(f"{{{UPLOAD}}}slot")
    put, get = (slot.find(f"{{{UPLOAD}}}{way}").get("url") for way in ("put", "get"))
    http = lambda *args, **kw: asyncio.to_thread(ask, place, *args, **kw)  # noqa: E731
    expect("put", 201, (await http("PUT", put, body=locked, headers={"content-type": "image/png"}))[0])
    address = XEP_0454.format_url(get, key)
    alice.say(await alice.message(bob.boundjid.bare, "file", address, [bob.boundjid]))
    await bob.hears("file", address)
    plain, key = address.replace("aesgcm://", "https://").split("#")
    status, _, got = await http("GET", plain)
    expect("get", (200, bytes_), (status, XEP_0454.decrypt(io.BytesIO(got), key)))


async def room(place, people):
    """A room whose occupants see each other's addresses, so that they can encrypt."""
    address = place["room"]
    for one in people:
        muc = one.plugin["xep_0045"]
        await muc.join_muc_wait(address, one.boundjid.user, timeout=DEADLINE, maxstanzas=0)
        if one is people[0]:
            form = one.plugin["xep_0004"].make_form(ftype="submit")
            form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/muc#roomconfig")
            form.add_field(var="muc#roomconfig_persistentroom", value="1")
            form.add_field(var="muc#roomconfig_whois", value="anyone")
            await muc.set_room_config(address, form)
    readers = [one.boundjid for one in people]
    for one in people:
        id_, body = f"room-{one.boundjid.user}", f"{one.boundjid.user} in the room"
        others = [reader for reader in readers if reader != one.boundjid]
        one.say(await one.message(address, id_, body, others, "groupchat"))
        for other in people:
            await other.hears(id_, body, other.said)


async def plainly(place, alice, when):
    """What a device can read that has no keys of that evening, in the chat with Bob and in the room."""
    alice.say(await alice.message(place["bob"]["jid"], f"plain-{when}", f"plainly, {when} the crash"))
    alice.say(await alice.message(place["room"], f"plain-room-{when}", f"to everybody, {when} the crash", None, "groupchat"))
    await alice.settled()


async def flow(place, a, b, elsewhere):
    """a writes to b, to the room and to another server without a pause, a window ahead of the acknowledgements, until the line
    breaks."""
    n = 0
    while a.home.is_set():
        if len(a.pending()) >= WINDOW:
            a.progress.clear()
            await asyncio.wait_for(a.progress.wait(), DEADLINE)
            continue
        n += 1
        name = a.boundjid.user
        a.say(await a.message(b.boundjid.bare, f"flow-{name}-{n}", f"flow {n}", [b.boundjid]))
        a.say(await a.message(place["room"], f"flow-{name}-room-{n}", f"flow {n}", None, "groupchat"))
        a.say(await a.message(elsewhere.boundjid.bare, f"across-{name}-{n}", f"across {n}"))


async def until_flowing(writers, since):
    while any(len(writer.acked) < since[writer] + ENOUGH for writer in writers):
        for writer in writers:
            writer.progress.clear()
        waits = [asyncio.ensure_future(writer.progress.wait()) for writer in writers]
        done, rest = await asyncio.wait(waits, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        for wait in rest:
            wait.cancel()
        if not done:
            raise RuntimeError("nothing is acknowledged")


async def crash(place, alice, bob, elsewhere):
    """Everybody writes; the server is killed; who was cut off comes back and says again what was not acknowledged."""
    writers = (alice, bob)
    since = {writer: len(writer.acked) for writer in writers}
    flows = [asyncio.ensure_future(flow(place, a, b, elsewhere)) for a, b in ((alice, bob), (bob, alice))]
    await until_flowing(writers, since)
    print("flowing", flush=True)
    await asyncio.wait_for(asyncio.gather(*flows), DEADLINE)
    before = {writer: set(writer.acked) for writer in writers}
    for writer in writers:
        await asyncio.wait_for(writer.home.wait(), 2 * DEADLINE)
    print("back", flush=True)
    for writer in writers:
        await writer.plugin["xep_0045"].join_muc_wait(place["room"], writer.boundjid.user, timeout=DEADLINE, maxstanzas=0)
    again = sum(len(writer.pending()) for writer in writers)
    for writer in writers:
        for stanza in writer.pending():
            writer.say(stanza)
        await writer.settled()
    return before, again


def ids(messages, start):
    return [stanza["id"] for stanza, _ in messages if stanza["id"].startswith(start)]


async def whole(place, alice, bob, before):
    """Both archives and the room's hold every acknowledged message, in the order in which it was written; what had been
    acknowledged before the crash is there once."""
    total = 0
    for a, b in ((alice, bob), (bob, alice)):
        mine = f"flow-{a.boundjid.user}-"
        for reader, of in ((b, None), (a, None), (b, place["room"])):
            found = ids(await reader.history(of), mine)
            due = [id_ for id_ in a.sent if id_.startswith(mine) and ("-room-" in id_) == (of is not None)]
            found = [id_ for id_ in found if ("-room-" in id_) == (of is not None)]
            expect(f"lost for {reader.boundjid} in {of}", [], [id_ for id_ in due if id_ not in found])
            twice = [id_ for id_ in before[a] if found.count(id_) > 1]
            expect(f"twice for {reader.boundjid} in {of}", [], twice)
            first = list(dict.fromkeys(found))
            expect(f"order for {reader.boundjid} in {of}", due, first)
            total += len(due)
    return total


async def across(writers, elsewhere):
    """Who is at the other server has heard everything that was acknowledged, sooner or later."""
    total = 0
    for writer in writers:
        due = [id_ for id_ in writer.sent if id_.startswith("across-")]
        while any((writer.boundjid.bare, None, id_) not in elsewhere.seen for id_ in due):
            await asyncio.wait_for(elsewhere.heard.get(), DEADLINE)
        total += len(due)
    return total


async def introduced(place, people):
    """A second device comes, each begins a session with it, one after the other (a key for a first message serves once), and
    it leaves. Its keys, and what it has read."""
    tablet = await online(Guest(place["alice"], place["ca"], "tablet"))
    for one in people:
        await one.looks_up_devices([tablet])
        id_ = f"hello-{one.boundjid.user}"
        one.say(await one.message(tablet.boundjid.full, id_, "hello", [tablet.boundjid]))
        await tablet.hears(id_, "hello")
    await tablet.settled()
    await tablet.leave()
    return tablet.keys, {f"hello-{one.boundjid.user}" for one in people}


async def second_device(place, keys, seen, first_words):
    """A device that was away reads the account's history: all that was written for it, and not what was said before it existed."""
    tablet = await online(Guest(place["alice"], place["ca"], "tablet", keys))
    texts, unread = {}, []
    for stanza, _ in await tablet.history():
        if stanza["id"] in seen or not tablet.plugin["xep_0384"].is_encrypted(stanza):
            continue
        seen.add(stanza["id"])
        try:
            texts[stanza["id"]] = await tablet.read(stanza)
        except MessageNotForUs:
            # One without a body is for another device's session alone.
            if stanza["body"]:
                unread.append(stanza["id"])
    expect("not for this device", first_words, unread)
    return tablet, texts


async def online(client):
    client.start()
    await asyncio.wait_for(client.ready, DEADLINE)
    await asyncio.wait_for(client.encrypts, DEADLINE)
    return client


async def run(place):
    alice = await online(Guest(place["alice"], place["ca"], "phone"))
    bob = await online(Guest(place["bob"], place["ca"], "desk"))
    romeo = await online(Guest(place["romeo"], place["ca"], "desk"))
    people = (alice, bob, romeo)
    print("online", flush=True)
    await contacts(people)
    await avatars(alice, (bob, romeo))
    # Before there is another device.
    await alice.looks_up_devices([bob])
    alice.say(await alice.message(bob.boundjid.bare, "early", "just us", [bob.boundjid]))
    await bob.hears("early", "just us")
    keys, seen = await introduced(place, people)
    print("introduced", flush=True)

    await chats(*people)
    print("chatting", flush=True)
    await file(place, alice, bob)
    await room(place, people)
    print("together", flush=True)
    await plainly(place, alice, "before")
    before, again = await crash(place, alice, bob, romeo)
    total = await whole(place, alice, bob, before)
    crossed = await across((alice, bob), romeo)

    # The evening goes on, with the peer too.
    await plainly(place, alice, "after")
    for a, b in ((alice, romeo), (romeo, alice), (romeo, bob)):
        id_ = f"late-{a.boundjid.user}-{b.boundjid.user}"
        a.say(await a.message(b.boundjid.bare, id_, "still here", [b.boundjid]))
        await b.comes_to_hear(id_, "still here")
    tablet, texts = await second_device(place, keys, seen, ["early"])
    due = ["alice-bob-1", "bob-alice-0", "romeo-alice-1", "alice-romeo-0", "file", "late-alice-romeo", "late-romeo-alice"]
    due += [id_ for writer in (alice, bob) for id_ in writer.sent if id_.startswith("flow-") and "-room-" not in id_]
    expect("what the second device cannot read", [], [id_ for id_ in due if id_ not in texts])
    for client in (*people, tablet):
        await client.leave()
    return {"kept": total, "across": crossed, "acknowledged": sum(map(len, before.values())), "again": again, "read": len(texts)}


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            result = asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
        print(f"over: {json.dumps(result)}", flush=True)
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"evening.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
