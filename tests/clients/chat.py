"""Real clients (slixmpp) of several domains: log in by STARTTLS and by direct TLS, subscribe, chat, each with each.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "accounts": [{"jid", "password", "host", "port", "direct_tls"}, ...]}
Every account becomes one client. Each pair exchanges messages in both directions; bodies, senders and order are
checked. Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
from pathlib import Path

from slixmpp import ClientXMPP

DEADLINE = 60
ROUNDS = 5


class Client(ClientXMPP):
    def __init__(self, account, ca):
        super().__init__(account["jid"], account["password"])
        self.account = account
        self.ca_certs = Path(ca)
        self.enable_direct_tls = account["direct_tls"]
        self.enable_starttls = not account["direct_tls"]
        self.enable_plaintext = False
        self.ready = asyncio.get_event_loop().create_future()
        self.inbox = asyncio.Queue()
        self.presences = asyncio.Queue()
        self["feature_mechanisms"].unencrypted_plain = False
        for plugin in ("xep_0030", "xep_0199", "xep_0092", "xep_0202", "xep_0077"):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: self.fail("authentication failed"))
        self.add_event_handler("message", lambda m: m["body"] and self.inbox.put_nowait(m))
        self.add_event_handler("presence_available", self.presences.put_nowait)
        self.auto_authorize = True
        self.auto_subscribe = True

    def fail(self, why):
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(f"{self.account['jid']}: {why}"))

    async def started(self, _):
        self.send_presence()
        await self.get_roster()
        if not self.ready.done():
            self.ready.set_result(True)

    def start(self):
        self.connect(self.account["host"], self.account["port"])


async def exchange(a, b):
    """Messages from a to b; b must see all of them, in order, from a's full JID."""
    for n in range(ROUNDS):
        a.send_message(mto=b.boundjid.bare, mbody=f"{a.boundjid.bare} -> {b.boundjid.bare} #{n} <&> ☃", mtype="chat")
    for n in range(ROUNDS):
        m = await asyncio.wait_for(b.inbox.get(), DEADLINE)
        want = f"{a.boundjid.bare} -> {b.boundjid.bare} #{n} <&> ☃"
        if m["body"] != want or m["from"].full != a.boundjid.full:
            raise RuntimeError(f"expected {want!r} from {a.boundjid.full}, got {m['body']!r} from {m['from']}")


async def subscribe(a, b):
    """a asks for b's presence; b agrees by itself; a then sees b."""
    a.send_presence_subscription(pto=b.boundjid.bare)
    while True:
        p = await asyncio.wait_for(a.presences.get(), DEADLINE)
        if p["from"].bare == b.boundjid.bare:
            return


async def run(plan):
    clients = [Client(account, plan["ca"]) for account in plan["accounts"]]
    for client in clients:
        client.start()
    for client in clients:
        await asyncio.wait_for(client.ready, DEADLINE)
    for a in clients:
        for b in clients:
            if a is not b:
                await exchange(a, b)
    await subscribe(clients[0], clients[-1])
    pings = [await clients[0]["xep_0199"].ping(c.boundjid.domain, timeout=DEADLINE) for c in clients]
    mechanisms = sorted({c["feature_mechanisms"].mech.name for c in clients})
    for client in clients:
        await client.disconnect()
    pairs = len(clients) * (len(clients) - 1)
    print(json.dumps({"clients": len(clients), "messages": pairs * ROUNDS, "pings": len(pings), "mechanisms": mechanisms}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"chat.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
