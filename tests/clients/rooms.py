"""Real clients (slixmpp) in a room: one opens it, the others enter, talk, and leave; one of them is a user of another server.

Reads the same plan as chat.py, with the room's address in "room". The first account opens the room. Ends with exit status
0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys

from chat import DEADLINE, Client

ROUNDS = 5


class Guest(Client):
    def __init__(self, account, ca, room):
        super().__init__(account, ca)
        self.room = room
        self.nick = account["jid"].replace("@", " at ")
        self.said = asyncio.Queue()
        self.register_plugin("xep_0045")
        self.add_event_handler("groupchat_message", lambda m: m["body"] and self.said.put_nowait(m))

    async def enter(self):
        return await self.plugin["xep_0045"].join_muc_wait(self.room, self.nick, timeout=DEADLINE, maxstanzas=0)

    async def hears(self, nick, body):
        message = await asyncio.wait_for(self.said.get(), DEADLINE)
        if message["body"] != body or message["mucnick"] != nick:
            raise RuntimeError(f"{self.boundjid}: expected {body!r} of {nick}, got {message}")


async def configure(owner, room):
    """Opens the room as its owner wants it: with a name, and there to stay."""
    form = await owner.plugin["xep_0045"].get_room_config(room)
    names = set(form.get_fields())
    wanted = {"muc#roomconfig_persistentroom": "1", "muc#roomconfig_roomname": "Witches"}
    answer = owner.plugin["xep_0004"].make_form(ftype="submit")
    answer.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/muc#roomconfig")
    for var, value in wanted.items():
        if var not in names:
            raise RuntimeError(f"the room offers no {var}: {sorted(names)}")
        answer.add_field(var=var, value=value)
    await owner.plugin["xep_0045"].set_room_config(room, answer)


async def run(plan):
    room = plan["room"]
    guests = [Guest(account, plan["ca"], room) for account in plan["accounts"]]
    for guest in guests:
        guest.start()
    for guest in guests:
        await asyncio.wait_for(guest.ready, DEADLINE)
    owner, others = guests[0], guests[1:]
    own_presence, *_ = await owner.enter()
    if 201 not in own_presence["muc"]["status_codes"]:
        raise RuntimeError(f"the room was not made: {own_presence}")
    await configure(owner, room)
    for guest in others:
        await guest.enter()
    for n in range(ROUNDS):
        for guest in guests:
            body = f"{guest.nick} #{n} <&> ☃"
            guest.send_message(mto=room, mbody=body, mtype="groupchat")
            for other in guests:
                await other.hears(guest.nick, body)
    info = await owner.plugin["xep_0030"].get_info(jid=room)
    rooms = await owner.plugin["xep_0030"].get_items(jid=room.split("@")[1])
    pinged = await owner.plugin["xep_0199"].ping(f"{room}/{owner.nick}", timeout=DEADLINE)
    for guest in others:
        guest.plugin["xep_0045"].leave_muc(room, guest.nick)
    for guest in guests:
        await guest.disconnect()
    print(json.dumps({
        "occupants": len(guests),
        "messages": ROUNDS * len(guests),
        "name": [identity[3] for identity in info["disco_info"]["identities"]],
        "rooms": len(rooms["disco_items"]["items"]),
        "self_ping": pinged is not None,
    }))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"rooms.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
