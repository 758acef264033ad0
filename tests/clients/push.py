"""A push service that is a program of its own (slixmpp), behind a component of another server, and a client that it wakes
(XEP-0357): enable, sleep, message, publish; and the end, when the service does not know the client any more.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "phone": ACCOUNT, "friend": ACCOUNT, "component": {"name", "secret", "host", "port"}}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
from xml.etree import ElementTree as ET

from chat import DEADLINE, Client
from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.exceptions import IqError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

PUSH = "urn:xmpp:push:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"
DATA = "jabber:x:data"


class AppServer(ComponentXMPP):
    """Knows nodes by their secret, and says of others that there is no such item."""

    def __init__(self, place):
        super().__init__(place["name"], place["secret"], place["host"], place["port"])
        self.nodes = {}
        self.published = asyncio.Queue()
        self.ready = asyncio.get_event_loop().create_future()
        publish = MatchXPath(f"{{jabber:component:accept}}iq/{{{PUBSUB}}}pubsub")
        self.register_handler(Callback("publish", publish, self.publish))
        self.add_event_handler("session_start", lambda _: self.ready.done() or self.ready.set_result(True))

    def publish(self, iq):
        if iq["type"] != "set":
            return
        pubsub = iq.xml.find(f"{{{PUBSUB}}}pubsub")
        node = pubsub.find(f"{{{PUBSUB}}}publish").get("node")
        fields = {f.get("var"): f.findtext(f"{{{DATA}}}value") for f in pubsub.iter(f"{{{DATA}}}field")}
        notification = pubsub.find(f".//{{{PUSH}}}notification")
        summary = {f: v for f, v in fields.items() if f in ("message-count", "last-message-body", "last-message-sender")}
        known = notification is not None and self.nodes.get(node) == fields.get("secret")
        reply = iq.reply()
        if not known:
            reply["type"] = "error"
            reply["error"]["type"] = "cancel"
            reply["error"]["condition"] = "item-not-found"
        reply.send()
        self.published.put_nowait((iq["from"].bare, node, known, summary))


class Phone(Client):
    async def push(self, element):
        iq = self.make_iq_set()
        iq.xml.append(ET.fromstring(element))
        await iq.send(timeout=DEADLINE)

    async def enable(self, service, node, secret):
        await self.push(
            f"<enable xmlns='{PUSH}' jid='{service}' node='{node}'><x xmlns='{DATA}' type='submit'>"
            f"<field var='FORM_TYPE'><value>{OPTIONS}</value></field>"
            f"<field var='secret'><value>{secret}</value></field></x></enable>"
        )

    async def disable(self, service, node):
        await self.push(f"<disable xmlns='{PUSH}' jid='{service}' node='{node}'/>")


def expect(what, want, got):
    if want != got:
        raise RuntimeError(f"{what}: expected {want!r}, got {got!r}")


async def awake(plan):
    phone = Phone(plan["phone"], plan["ca"])
    phone.start()
    await asyncio.wait_for(phone.ready, DEADLINE)
    return phone


async def goes_away(phone):
    gone = asyncio.get_event_loop().create_future()
    phone.add_event_handler("disconnected", lambda _: gone.done() or gone.set_result(True))
    phone.disconnect()
    await asyncio.wait_for(gone, DEADLINE)


async def woken(friend, to, service):
    """What the service is told of a message. One that comes soon after another wakes nobody, who is awake by then: so the
    friend writes until it does."""
    end = asyncio.get_event_loop().time() + DEADLINE
    while asyncio.get_event_loop().time() < end:
        friend.send_message(mto=to, mbody="a secret word", mtype="chat")
        try:
            return await asyncio.wait_for(service.published.get(), 2)
        except asyncio.TimeoutError:
            continue
    raise RuntimeError("nobody is woken")


async def run(plan):
    service = AppServer(plan["component"])
    service.connect()
    await asyncio.wait_for(service.ready, DEADLINE)
    name = plan["component"]["name"]
    friend = Client(plan["friend"], plan["ca"])
    friend.start()
    await asyncio.wait_for(friend.ready, DEADLINE)

    phone = await awake(plan)
    own = phone.boundjid.bare
    service.nodes["phone"] = "s3cret"
    await phone.enable(name, "phone", "s3cret")
    await goes_away(phone)
    account, node, known, summary = await woken(friend, own, service)
    expect("whom", (own, "phone", True), (account, node, known))
    expect("no word of what or from whom", {"message-count": "1"}, summary)

    # The service has forgotten the client: it is asked once more, and no more.
    del service.nodes["phone"]
    _, node, known, _ = await woken(friend, own, service)
    expect("refused", ("phone", False), (node, known))
    phone = await awake(plan)
    try:
        await phone.disable(name, "phone")
        raise RuntimeError("a registration that was refused is still there")
    except IqError as error:
        expect("disable", "item-not-found", error.iq["error"]["condition"])

    # Another node is told of what comes, and the first is not.
    service.nodes["tablet"] = "other"
    await phone.enable(name, "tablet", "other")
    await goes_away(phone)
    _, node, known, _ = await woken(friend, own, service)
    expect("the other", ("tablet", True), (node, known))
    phone = await awake(plan)
    await phone.disable(name, "tablet")
    await goes_away(phone)
    rest = []
    while not service.published.empty():
        rest.append(service.published.get_nowait()[1])
    expect("nobody else", [], [n for n in rest if n != "tablet"])
    await friend.disconnect()
    await service.disconnect()
    print(json.dumps({"published": True, "forgotten": True}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"push.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
