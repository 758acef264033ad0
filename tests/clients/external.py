"""Real clients (slixmpp) that log in with certificates (SASL EXTERNAL): such as they have uploaded (XEP-0257), and such as an
authority of the domain's has issued with one address, several, or none in them.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "alice": ACCOUNT, "bob": JID, "certificates": {NAME: {"cert": PATH, "key": PATH}}}
The certificates are "phone" and "bot" (self-signed, to be uploaded by Alice), and "one", "two", "none" of the authority. Ends with
exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import ssl
import sys
from base64 import b64encode
from pathlib import Path

from chat import DEADLINE, Client
from slixmpp.exceptions import IqError


class Certified(Client):
    """No password at all."""

    def __init__(self, plan, jid, which, authzid=""):
        super().__init__({**plan["alice"], "jid": jid, "password": ""}, plan["ca"])
        own = plan["certificates"][which]
        self.certfile, self.keyfile = own["cert"], own["key"]
        self.plugin["feature_mechanisms"].use_mech = "EXTERNAL"
        self.credentials["authzid"] = authzid
        self.register_plugin("xep_0257")
        self.ended = asyncio.get_event_loop().create_future()
        self.why = None
        self.add_event_handler("stream_error", lambda error: setattr(self, "why", error["condition"]))
        self.add_event_handler("disconnected", lambda _: self.ended.done() or self.ended.set_result(True))

    async def online(self):
        self.start()
        await asyncio.wait_for(self.ready, DEADLINE)
        return self


async def refused(plan, jid, which, authzid=""):
    client = Certified(plan, jid, which, authzid)
    try:
        await client.online()
    except RuntimeError:
        await client.disconnect()
        return
    raise RuntimeError(f"{jid} was let in with {which}")


def der(plan, which):
    pem = Path(plan["certificates"][which]["cert"]).read_text()
    return b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()


def expect(what, want, got):
    if want != got:
        raise RuntimeError(f"{what}: expected {want!r}, got {got!r}")


async def run(plan):
    alice, bob = plan["alice"]["jid"], plan["bob"]
    desk = Client({**plan["alice"], "jid": f"{alice}/desk"}, plan["ca"])
    desk.register_plugin("xep_0257")
    desk.start()
    await asyncio.wait_for(desk.ready, DEADLINE)
    own = desk.plugin["xep_0257"]

    # What nobody has uploaded opens nothing.
    await refused(plan, f"{alice}/phone", "phone")
    await own.add_cert("Phone", der(plan, "phone"), timeout=DEADLINE)
    await own.add_cert("Bot", der(plan, "bot"), allow_management=False, timeout=DEADLINE)
    phone = await Certified(plan, f"{alice}/phone", "phone").online()
    bot = await Certified(plan, f"{alice}/bot", "bot").online()
    expect("bound", f"{alice}/phone", phone.boundjid.full)
    listed = {name: set(users) for name, _, users in await own.get_certs(timeout=DEADLINE)}
    expect("users", {"Phone": {"phone"}, "Bot": {"bot"}}, listed)
    try:
        await bot.plugin["xep_0257"].revoke_cert("Phone", timeout=DEADLINE)
        raise RuntimeError("the bot manages certificates")
    except IqError as error:
        expect("the bot", "forbidden", error.condition)

    # RFC 6120 13.7.2.2.1: one address, several, none.
    one = await Certified(plan, f"{bob}/one", "one").online()
    expect("one", f"{bob}/one", one.boundjid.full)
    await refused(plan, f"{alice}/two", "two")
    two = await Certified(plan, f"{alice}/two", "two", alice).online()
    expect("two", f"{alice}/two", two.boundjid.full)
    await refused(plan, f"{alice}/none", "none")

    # Disabled: who is there stays. Revoked: they go.
    await own.disable_cert("Bot", timeout=DEADLINE)
    await refused(plan, f"{alice}/again", "bot")
    await own.revoke_cert("Phone", timeout=DEADLINE)
    await asyncio.wait_for(phone.ended, DEADLINE)
    expect("told", "not-authorized", phone.why)
    await refused(plan, f"{alice}/phone", "phone")
    await bot.plugin["xep_0199"].ping(bot.boundjid.domain, timeout=DEADLINE)
    await own.add_cert("Phone", der(plan, "phone"), timeout=DEADLINE)
    for client in (desk, bot, one, two):
        await client.disconnect()
    print(json.dumps({"listed": sorted(listed)}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"external.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
