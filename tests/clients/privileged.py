"""A real component (slixmpp) that a domain's owner trusts with its accounts (XEP-0356): it reads and writes a roster, writes a message
and asks something in an account's name, and sees who is online. Without the grants each is refused.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "accounts": [{"jid", "password", "host", "port"}, …], "component": {"name", "secret", "host", "port"}, "granted": BOOL}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
from pathlib import Path

from slixmpp import ClientXMPP
from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0356.permissions import IqPermission, MessagePermission, RosterAccess

DEADLINE = 60
INFO = "http://jabber.org/protocol/disco#info"
# As a component slixmpp does not find errors by itself: it looks for them in the namespace of clients.
FORBIDDEN = ".//{urn:ietf:params:xml:ns:xmpp-stanzas}forbidden"
plan = json.loads(Path(sys.argv[1]).read_text())


def event(stream, name):
    done = asyncio.get_running_loop().create_future()
    stream.add_event_handler(name, lambda got: done.done() or done.set_result(got))
    return done


async def log_in(account):
    client = ClientXMPP(account["jid"], account["password"])
    client.ca_certs = Path(plan["ca"])
    client.enable_plaintext = False
    ready = event(client, "session_start")
    client.connect(account["host"], account["port"])
    await asyncio.wait_for(ready, DEADLINE)
    return client


async def refused(awaitable):
    try:
        await awaitable
    except IqError as error:
        assert error.iq.xml.find(FORBIDDEN) is not None, error.iq
        return True
    raise RuntimeError("not refused")


async def run():
    own = plan["component"]
    bridge = ComponentXMPP(own["name"], own["secret"], own["host"], own["port"])
    for plugin in ("xep_0030", "xep_0297", "xep_0356"):
        bridge.register_plugin(plugin)
    errors = event(bridge, "message_error")
    ready, told = event(bridge, "session_start"), event(bridge, "privileges_advertised")
    online = event(bridge, "presence_available")
    # The name may still be taken for a moment by whoever tried it before.
    bridge.add_event_handler("disconnected", lambda _: ready.done() or bridge.connect())
    bridge.connect()
    await asyncio.wait_for(ready, DEADLINE)
    alice, bob = [await log_in(account) for account in plan["accounts"]]
    inbox = event(bob, "message")
    bob.send_presence()
    name, domain = alice.boundjid.bare, alice.boundjid.domain
    privilege = bridge["xep_0356"]
    known = privilege.granted_privileges[domain]
    if plan["granted"]:
        await asyncio.wait_for(told, DEADLINE)
    else:
        # As a component that does not care what it is told.
        known.roster, known.message = RosterAccess.BOTH, MessagePermission.OUTGOING
        known.iq[INFO] = IqPermission.BOTH
    question = bridge.make_iq_get(ito=name, ifrom=name)
    question.enable("disco_info")
    message = bridge.make_message(mto=bob.boundjid, mfrom=name, mbody="in her name", mtype="chat")
    message.namespace = "jabber:client"
    message.xml.tag = message.xml.tag.replace("jabber:component:accept", "jabber:client")
    for child in message.xml:
        child.tag = child.tag.replace("jabber:component:accept", "jabber:client")
    contact = {bob.boundjid.bare: {"name": "Bob", "groups": ["Friends"]}}
    if not plan["granted"]:
        await refused(privilege.get_roster(name, timeout=DEADLINE))
        await refused(privilege.set_roster(name, contact, timeout=DEADLINE))
        await refused(privilege.send_privileged_iq(question))
        privilege.send_privileged_message(message)
        error = await asyncio.wait_for(errors, DEADLINE)
        assert error.xml.find(FORBIDDEN) is not None, error
        assert not online.done(), online.result()
        assert not told.done(), "granted nothing, told nothing"
        return {"refused": True}
    await privilege.set_roster(name, contact, timeout=DEADLINE)
    roster = await privilege.get_roster(name, timeout=DEADLINE)
    assert roster["roster"]["items"][bob.boundjid.bare]["name"] == "Bob", roster
    answer = await privilege.send_privileged_iq(question)
    assert answer["type"] == "result" and answer.xml.find(f"{{{INFO}}}query") is not None, answer
    privilege.send_privileged_message(message)
    got = await asyncio.wait_for(inbox, DEADLINE)
    assert (got["from"], got["body"]) == (name, "in her name"), got
    seen = await asyncio.wait_for(online, DEADLINE)
    assert seen["from"].bare == bob.boundjid.bare, seen
    return {"roster": len(roster["roster"]["items"])}


async def whole():
    print(json.dumps(await run()))


asyncio.run(whole())
