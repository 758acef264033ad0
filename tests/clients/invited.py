"""A real client (slixmpp) without an account: shows an invitation, registers over TLS, logs in, and finds its contact.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "host", "port", "tries": [{"domain", "token", "username", "password"}, ...]}
Each try opens a stream of its own. Prints one JSON line, a list with an object for each try: {"offered": [...],
"preauth": "result" or a condition, "register": the same, "contacts": {jid: subscription} once logged in}.
"""

import asyncio
import json
import sys
from pathlib import Path

from slixmpp import ClientXMPP
from slixmpp.plugins.xep_0077.stanza import Register, RegisterFeature
from slixmpp.stanza import Iq, StreamFeatures
from slixmpp.xmlstream import register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatcherId

DEADLINE = 60


class Newcomer(ClientXMPP):
    """Registers before it authenticates: the feature has its turn before SASL's."""

    def __init__(self, plan, attempt):
        super().__init__(f"{attempt['username']}@{attempt['domain']}", attempt["password"])
        self.attempt = attempt
        self.ca_certs = Path(plan["ca"])
        self.enable_direct_tls = False
        self.enable_plaintext = False
        self.told = {}
        self.done = asyncio.get_event_loop().create_future()
        register_stanza_plugin(StreamFeatures, RegisterFeature)
        register_stanza_plugin(Iq, Register)
        self.register_feature("register", self.come, restart=False, order=40)
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("stream_error", lambda error: self.end(error["condition"]))

    def end(self, why=None):
        if why:
            self.told["ended"] = why
        if not self.done.done():
            self.done.set_result(self.told)

    async def ask(self, name, payload, kind="set"):
        """One request before there is a session, which slixmpp would hold back."""
        answer = asyncio.get_event_loop().create_future()
        self.register_handler(Callback(name, MatcherId(name), answer.set_result, once=True))
        self.send_raw(f"<iq type='{kind}' id='{name}' to='{self.attempt['domain']}'>{payload}</iq>")
        iq = await asyncio.wait_for(answer, DEADLINE)
        self.told[name] = iq["error"]["condition"] if iq["type"] == "error" else "result"
        return iq

    async def come(self, features):
        offered = [child.tag for child in features.xml if child.tag.endswith("}register")]
        self.told["offered"] = sorted(tag.split("}")[0].strip("{") for tag in offered)
        await self.ask("preauth", f"<preauth xmlns='urn:xmpp:pars:0' token='{self.attempt['token']}'/>")
        form = await self.ask("form", "<query xmlns='jabber:iq:register'/>", "get")
        if self.told["form"] == "result":
            self.told["kept"] = form["register"]["username"]
        made = await self.ask(
            "register",
            "<query xmlns='jabber:iq:register'><username>{username}</username><password>{password}</password></query>".format(
                **self.attempt
            ),
        )
        if made["type"] == "error":
            self.end()
            return True
        return False

    async def started(self, _):
        self.send_presence()
        roster = await self.get_roster()
        items = roster["roster"]["items"]
        self.told["contacts"] = {str(jid): item["subscription"] for jid, item in items.items()}
        self.end()


async def run(plan):
    told = []
    for attempt in plan["tries"]:
        client = Newcomer(plan, attempt)
        client.connect(plan["host"], plan["port"])
        told.append(await asyncio.wait_for(client.done, DEADLINE))
        await client.disconnect()
    print(json.dumps(told))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"invited.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
