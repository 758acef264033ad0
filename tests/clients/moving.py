"""A real client (slixmpp) before and after its account has moved to another server.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "account": ACCOUNT, "stage": "fill" | "find" | "login", "contact": ADDRESS, "room": ADDRESS, "says": TEXT}
`fill` leaves a contact, a bookmark, private XML and a message in the archive; `find` looks for them; `login` only logs in.
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
import xml.etree.ElementTree as ET

from chat import DEADLINE, Client


class Mover(Client):
    def __init__(self, account, ca):
        super().__init__(account, ca)
        for plugin in ("xep_0049", "xep_0060", "xep_0313"):
            self.register_plugin(plugin)


def private(client, kind, inside):
    iq = client.make_iq(itype=kind)
    iq.xml.append(ET.fromstring(f"<query xmlns='jabber:iq:private'>{inside}</query>"))
    return iq.send(timeout=DEADLINE)


async def fill(client, plan):
    await client.update_roster(plan["contact"], name="Moved along", groups=["Old friends"], timeout=DEADLINE)
    payload = ET.fromstring("<conference xmlns='urn:xmpp:bookmarks:1' name='Home'/>")
    await client["xep_0060"].publish(client.boundjid.bare, "urn:xmpp:bookmarks:1", id=plan["room"], payload=payload)
    await private(client, "set", "<exodus xmlns='exodus:prefs'><nick>Mover</nick></exodus>")
    client.send_message(mto=plan["contact"], mbody=plan["says"], mtype="chat")
    # Answered when the message before it is archived.
    await private(client, "get", "<exodus xmlns='exodus:prefs'/>")
    return {"filled": True}


async def find(client, plan):
    roster = client.client_roster
    moved = plan["contact"] in contacts(client) and roster[plan["contact"]]["name"] == "Moved along"
    items = await client["xep_0060"].get_items(client.boundjid.bare, "urn:xmpp:bookmarks:1")
    kept = await private(client, "get", "<exodus xmlns='exodus:prefs'/>")
    page = await client["xep_0313"].retrieve(timeout=DEADLINE)
    bodies = [
        message["mam_result"]["forwarded"]["stanza"]["body"] for message in page["mam"]["results"]
    ]
    return {
        "contact": moved,
        "bookmark": plan["room"] in [item["id"] for item in items["pubsub"]["items"]],
        "private": b"Mover" in ET.tostring(kept.xml),
        "archive": plan["says"] in bodies,
    }


def contacts(client):
    """As the server has told at the log-in."""
    return sorted(str(jid) for jid in client.client_roster if jid != client.boundjid.bare)


async def login(client, _):
    return {"contacts": contacts(client)}


async def main(plan):
    client = Mover(plan["account"], plan["ca"])
    client.start()
    await asyncio.wait_for(client.ready, DEADLINE)
    found = await {"fill": fill, "find": find, "login": login}[plan["stage"]](client, plan)
    await client.disconnect()
    missing = [name for name, there in found.items() if there is False]
    print(json.dumps(found))
    return 1 if missing else 0


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.exit(asyncio.run(main(json.load(file))))
