"""Real clients (slixmpp) in a room, wherever it is: talk, history, private messages, self-ping, an invitation, kick, leave.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "room": ADDRESS, "people": [ACCOUNT, ACCOUNT, ACCOUNT]}
The first opens the room, the second is there from the beginning, the third comes later. Ends with exit status 0 and one JSON
line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys

from chat import DEADLINE, Client
from slixmpp import JID
from slixmpp.exceptions import IqError


class Guest(Client):
    def __init__(self, account, ca, room, nick):
        super().__init__(account, ca)
        self.room, self.nick = JID(room), nick
        self.said, self.private, self.gone, self.invited = (asyncio.Queue() for _ in range(4))
        for plugin in ("xep_0045", "xep_0004"):
            self.register_plugin(plugin)
        self.add_event_handler("message", self.hear)
        self.add_event_handler(f"muc::{room}::got_offline", self.gone.put_nowait)
        self.add_event_handler("groupchat_invite", self.invited.put_nowait)

    def hear(self, message):
        # What the room itself says, such as an invitation, is from no occupant.
        if message["body"] and message["from"].bare == self.room.bare and message["from"].resource and message["type"] != "error":
            queue = self.said if message["type"] == "groupchat" else self.private
            queue.put_nowait(message)

    async def enter(self, **history):
        muc = self.plugin["xep_0045"]
        return await muc.join_muc_wait(self.room, self.nick, timeout=DEADLINE, **history)

    def says(self, body):
        self.send_message(mto=self.room, mbody=body, mtype="groupchat")

    async def pings_itself(self):
        """XEP-0410: the result, or the condition of the error."""
        try:
            iq = self.make_iq_get(ito=JID(f"{self.room.bare}/{self.nick}"))
            iq.enable("ping")
            await iq.send(timeout=DEADLINE)
            return "here"
        except IqError as error:
            return error.iq["error"]["condition"]


async def soon(queue):
    return await asyncio.wait_for(queue.get(), DEADLINE)


def expect(what, want, got):
    if want != got:
        raise RuntimeError(f"{what}: expected {want!r}, got {got!r}")


async def everybody_hears(people, who, body):
    who.says(body)
    for other in people:
        message = await soon(other.said)
        expect(f"{other.nick} hears", (who.nick, body), (message["mucnick"], message["body"]))


async def privately(a, b, body):
    a.send_message(mto=JID(f"{a.room.bare}/{b.nick}"), mbody=body, mtype="chat")
    message = await soon(b.private)
    expect("private", (a.nick, body), (message["from"].resource, message["body"]))


async def opens(owner):
    own, *_ = await owner.enter(maxstanzas=0)
    expect("a new room", True, 201 in own["muc"]["status_codes"])
    form = owner.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/muc#roomconfig")
    form.add_field(var="muc#roomconfig_persistentroom", value="1")
    await owner.plugin["xep_0045"].set_room_config(owner.room, form)


async def run(plan):
    nicks = ("Owner", "Guest", "Latecomer")
    owner, guest, late = (Guest(a, plan["ca"], plan["room"], n) for a, n in zip(plan["people"], nicks, strict=True))
    people = [owner, guest, late]
    for one in people:
        one.start()
    for one in people:
        await asyncio.wait_for(one.ready, DEADLINE)
    await opens(owner)
    await guest.enter(maxstanzas=0)
    for n in range(2):
        for one in (owner, guest):
            await everybody_hears((owner, guest), one, f"{one.nick} #{n} <&> ☃")

    # Invited by way of the room, and shown what was said.
    owner.plugin["xep_0045"].invite(owner.room, late.boundjid.bare, reason="come")
    await soon(late.invited)
    await late.enter(maxstanzas=20)
    history = []
    while len(history) < 4:
        message = await soon(late.said)
        history.append((message["mucnick"], message["body"]))
    want = [(one.nick, f"{one.nick} #{n} <&> ☃") for n in range(2) for one in (owner, guest)]
    expect("history", want, history)
    await everybody_hears(people, late, "now I am here")

    for a in people:
        for b in people:
            if a is not b:
                await privately(a, b, f"{a.nick} to {b.nick}")
    for one in people:
        expect("self-ping", "here", await one.pings_itself())

    # Out by a moderator's will, back, and away by one's own.
    while not guest.gone.empty():
        guest.gone.get_nowait()
    await owner.plugin["xep_0045"].set_role(owner.room, late.nick, "none", reason="noise")
    gone = await soon(guest.gone)
    expect("kicked", late.nick, gone["from"].resource)
    expect("self-ping outside", "not-acceptable", await late.pings_itself())
    await late.enter(maxstanzas=0)
    await everybody_hears(people, guest, "welcome back")
    late.plugin["xep_0045"].leave_muc(late.room, late.nick)
    gone = await soon(guest.gone)
    expect("left", late.nick, gone["from"].resource)
    await everybody_hears((owner, guest), owner, "among ourselves")
    if not late.said.empty():
        raise RuntimeError(f"heard outside: {late.said.get_nowait()}")
    for one in people:
        await one.disconnect()
    print(json.dumps({"people": len(people), "history": len(history)}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"meeting.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
