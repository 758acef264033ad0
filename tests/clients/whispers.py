"""OMEMO (slixmpp-omemo) between an account here and one at another server, in both directions: each hears of the other's devices
without having asked, writes to all of them, and is written to while it is away.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "ours": ACCOUNT, "theirs": ACCOUNT}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys

from chat import DEADLINE, subscribe
from guest import OMEMO, Guest
from omemo.session_manager import MessageNotForUs
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

EVENT = "http://jabber.org/protocol/pubsub#event"
DEVICES = f"{OMEMO}.devicelist"
ROUNDS = 3


class Whisperer(Guest):
    """Says in its first presence that it wants to hear of devices, and notes what it hears."""

    def __init__(self, account, ca, resource, keys=None):
        self.lists = asyncio.Queue()
        super().__init__(account, ca, resource, keys)
        self.register_plugin("xep_0115")
        self.register_handler(Callback("devices", MatchXPath(f"{{jabber:client}}message/{{{EVENT}}}event"), self.told))

    def told(self, message):
        for items in message.xml.iter(f"{{{EVENT}}}items"):
            if items.get("node") == DEVICES:
                ids = {int(device.get("id")) for device in items.iter(f"{{{OMEMO}}}device")}
                self.lists.put_nowait((message["from"].bare, ids))

    async def started(self, event):
        await self.plugin["xep_0115"].update_caps()
        await super().started(event)

    async def read(self, message):
        try:
            return await super().read(message)
        except MessageNotForUs:
            # For another device of ours: some servers hand what is for the account to every one.
            return None

    async def device(self):
        keys = await self.plugin["xep_0384"].get_session_manager()
        own, _ = await keys.get_own_device_information()
        return own.device_id

    async def hears_of(self, other):
        """Is told that the other has this device."""
        id_, whose = await other.device(), other.boundjid.bare
        while True:
            of, ids = await asyncio.wait_for(self.lists.get(), DEADLINE)
            if of == whose and id_ in ids:
                return

    async def whispers(self, other, id_, text):
        """Writes to one device, so that every device of the account could read it."""
        locked = await self.message(other.boundjid.full, id_, text, [other.boundjid])
        if text in str(locked):
            raise RuntimeError(f"{id_} is in the clear: {locked}")
        self.say(locked)
        await other.hears(id_, text)


async def online(account, ca, resource, keys=None):
    client = Whisperer(account, ca, resource, keys)
    client.start()
    await asyncio.wait_for(client.ready, DEADLINE)
    await asyncio.wait_for(client.encrypts, DEADLINE)
    return client


async def away(plan, whose, gone, friend):
    """Nobody is there when it is written; the device that comes back reads it."""
    address, keys = gone.boundjid.bare, gone.keys
    await gone.settled()
    await gone.leave()
    id_ = f"while-{whose}-away"
    friend.say(await friend.message(address, id_, "for later", [gone.boundjid]))
    await friend.settled()
    back = await online(plan[whose], plan["ca"], "desk", keys)
    await back.comes_to_hear(id_, "for later")
    return back


async def run(plan):
    people = {}
    for whose in ("ours", "theirs"):
        people[whose] = await online(plan[whose], plan["ca"], "desk")
    ours, theirs = people["ours"], people["theirs"]
    both = ((ours, theirs), (theirs, ours))
    for a, b in both:
        if a.client_roster[b.boundjid.bare]["subscription"] not in ("to", "both"):
            await subscribe(a, b)
    for a, b in both:
        await a.hears_of(b)
    whispered = 0
    for n in range(ROUNDS):
        for a, b in both:
            await a.whispers(b, f"{a.boundjid.user}-{n}", f"{a.boundjid.user} #{n} <&> ☃")
            whispered += 1

    # Another device of each: the other side is told of it, and writes to it as well.
    for (whose, one), other in zip(people.items(), (theirs, ours)):
        tablet = await online(plan[whose], plan["ca"], "tablet")
        await other.hears_of(tablet)
        await tablet.looks_up_devices([other])
        for a, b in ((other, tablet), (tablet, other), (other, one)):
            await a.whispers(b, f"{whose}-{a.boundjid.resource}-{b.boundjid.resource}", "a new one")
            whispered += 1
        await tablet.settled()
        await tablet.leave()

    people["theirs"] = await away(plan, "theirs", theirs, ours)
    people["ours"] = await away(plan, "ours", ours, people["theirs"])
    await people["ours"].whispers(people["theirs"], "at-last", "we are all here")
    for one in people.values():
        await one.leave()
    print(json.dumps({"whispered": whispered + 3}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"whispers.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
