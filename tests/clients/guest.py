"""A client as people use one (slixmpp with slixmpp-omemo): it encrypts, comes back by itself when its connection breaks, knows
what the server has acknowledged, and says the rest again under the same ids.

For other scripts to build on; it does nothing by itself.
"""

import asyncio
import sys

from chat import DEADLINE, Client
from omemo.storage import Just, Nothing, Storage
from slixmpp import JID
from slixmpp.plugins import register_plugin
from slixmpp.plugins.xep_0198.stanza import RequestAck
from slixmpp_omemo import XEP_0384


class Keys(Storage):
    """What a device keeps of its keys and sessions, for as long as the script runs."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    async def _load(self, key):
        return Just(self.kept[key]) if key in self.kept else Nothing()

    async def _store(self, key, value):
        self.kept[key] = value

    async def _delete(self, key):
        self.kept.pop(key, None)


class Omemo(XEP_0384):
    """Trusts every device that it sees: what is tried here is the server."""

    @property
    def storage(self):
        return self.xmpp.keys

    @property
    def _btbv_enabled(self):
        return True

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        raise RuntimeError(f"asked about {manually_trusted}")


register_plugin(Omemo)
# The namespace that slixmpp-omemo encrypts in.
OMEMO = "eu.siacs.conversations.axolotl"
PLUGINS = ("xep_0030", "xep_0045", "xep_0054", "xep_0060", "xep_0084", "xep_0163", "xep_0198", "xep_0280", "xep_0313", "xep_0359")


class Guest(Client):
    def __init__(self, account, ca, resource, keys=None):
        super().__init__({**account, "jid": f"{account['jid']}/{resource}"}, ca)
        self.keys = keys or Keys()
        self.home = asyncio.Event()
        self.leaving = False
        self.came = asyncio.Queue()
        self.seen = set()
        self.avatars = asyncio.Queue()
        self.heard = asyncio.Queue()
        self.said = asyncio.Queue()
        # Of what this client has said, by id: the stanza, and whether the server has acknowledged it.
        self.sent = {}
        self.acked = set()
        self.progress = asyncio.Event()
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.register_plugin("xep_0384", module=sys.modules[__name__])
        self.encrypts = asyncio.get_event_loop().create_future()
        self.add_event_handler("omemo_initialized", lambda _: self.encrypts.done() or self.encrypts.set_result(True))
        self.add_event_handler("session_start", lambda _: self.home.set())
        self.add_event_handler("disconnected", self.lost)
        self.add_event_handler("stanza_acked", self.acknowledged)
        self.add_event_handler("avatar_metadata_publish", self.avatars.put_nowait)
        # One after the other and in order, those without a body too: they move the sessions of the encryption on. Rooms'
        # messages come by this way as well.
        self.add_event_handler("message", self.came.put_nowait)
        self.reading = asyncio.ensure_future(self.read_all())

    def lost(self, _):
        self.home.clear()
        self.progress.set()
        if not self.leaving:
            self.start()

    def acknowledged(self, stanza):
        if stanza["id"] in self.sent:
            self.acked.add(stanza["id"])
            self.progress.set()

    def say(self, stanza):
        """Sends a message of which the acknowledgement matters."""
        self.sent[stanza["id"]] = stanza
        stanza.send()

    async def looks_up_devices(self, others):
        """Asks for what its contacts are told of anyway, so that nobody has to wait for that."""
        keys = await self.plugin["xep_0384"].get_session_manager()
        for other in others:
            await keys.refresh_device_list(OMEMO, other.boundjid.bare)

    def pending(self):
        return [stanza for id_, stanza in self.sent.items() if id_ not in self.acked]

    async def settled(self):
        """Everything said so far is acknowledged."""
        while self.pending():
            self.progress.clear()
            # Behind what waits to be sent; the plugin's own request would overtake it.
            self.send(RequestAck(self))
            await asyncio.wait_for(self.progress.wait(), DEADLINE)

    async def message(self, to, id_, body, readers=None, type_="chat"):
        """A message, encrypted for every device of the readers and for our own others, if there are readers."""
        message = self.make_message(mto=JID(to), mbody=body, mtype=type_)
        message["id"] = id_
        if readers is None:
            return message
        locked, errors = await self.plugin["xep_0384"].encrypt_message(message, {JID(reader) for reader in readers})
        if locked is None or errors:
            raise RuntimeError(f"{self.boundjid}: cannot encrypt for {readers}: {errors}")
        locked["id"] = id_
        return locked

    async def read(self, message):
        """What a message says, whether it is encrypted or not; `None`: nothing."""
        omemo = self.plugin["xep_0384"]
        if omemo.is_encrypted(message):
            message, _ = await omemo.decrypt_message(message)
        return message["body"] or None

    async def read_all(self):
        """Whatever comes, once for each id and sender: a message that was said again after a crash is the same message."""
        while True:
            message = await self.came.get()
            name = (message["from"].bare, message["mucnick"] if message["type"] == "groupchat" else None, message["id"])
            if message["type"] == "error" or (message["id"] and name in self.seen):
                continue
            self.seen.add(name)
            try:
                text = await self.read(message)
            except Exception as error:  # said where somebody waits for the message
                text = error
            if text:
                (self.said if message["type"] == "groupchat" else self.heard).put_nowait((message, text))

    async def hears(self, id_, body, queue=None):
        """The next message; it must be this one."""
        message, got = await asyncio.wait_for((queue or self.heard).get(), DEADLINE)
        if (message["id"], got) != (id_, body):
            raise RuntimeError(f"{self.boundjid}: expected {id_} {body!r}, got {message['id']} {got!r}: {message}")

    async def comes_to_hear(self, id_, body):
        """Sooner or later."""
        message, got = None, None
        while message is None or message["id"] != id_:
            message, got = await asyncio.wait_for(self.heard.get(), DEADLINE)
        if got != body:
            raise RuntimeError(f"{self.boundjid}: {id_} says {got!r}")

    async def history(self, of=None, **query):
        """All messages of an archive as (stanza, what it was kept under), in order. `of`: a room; otherwise our own."""
        found = []
        async for message in self.plugin["xep_0313"].iterate(jid=of and JID(of), rsm={"max": 50}, **query):
            result = message["mam_result"]
            found.append((result["forwarded"]["stanza"], result["id"]))
        return found

    async def leave(self):
        self.leaving = True
        self.reading.cancel()
        await self.disconnect()
