"""A real client (slixmpp) takes out what its account has: the command, as disco lists it, and the link that comes of it.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "account": ACCOUNT, "contact": ADDRESS or null, "says": TEXT}
Leaves a contact and a message in the archive, if there is a contact, and asks for the link.
Ends with exit status 0 and one JSON line: {"listed": BOOL, "url": TEXT or null, "error": CONDITION or null}.
"""

import asyncio
import json
import sys
import xml.etree.ElementTree as ET

from slixmpp.exceptions import IqError

from chat import DEADLINE, Client

COMMANDS = "http://jabber.org/protocol/commands"
NODE = "domicile#export-own-data"


async def fill(client, plan):
    await client.update_roster(plan["contact"], name="Goes along", timeout=DEADLINE)
    client.send_message(mto=plan["contact"], mbody=plan["says"], mtype="chat")
    # Answered when the message before it is archived.
    iq = client.make_iq_get()
    iq.xml.append(ET.fromstring("<query xmlns='jabber:iq:private'><x xmlns='y'/></query>"))
    await iq.send(timeout=DEADLINE)


async def main(plan):
    client = Client(plan["account"], plan["ca"])
    for plugin in ("xep_0004", "xep_0050"):
        client.register_plugin(plugin)
    client.start()
    await asyncio.wait_for(client.ready, DEADLINE)
    if plan["contact"]:
        await fill(client, plan)
    domain = client.boundjid.domain
    items = await client["xep_0030"].get_items(jid=domain, node=COMMANDS, timeout=DEADLINE)
    found = {"listed": any(node == NODE for _, node, _ in items["disco_items"]["items"]), "url": None, "error": None}
    try:
        answer = await client["xep_0050"].send_command(domain, NODE, timeout=DEADLINE)
        found["url"] = answer["command"]["form"].get_values()["url"]
    except IqError as refused:
        found["error"] = refused.condition
    await client.disconnect()
    print(json.dumps(found))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        asyncio.run(main(json.load(file)))
