"""A real component (slixmpp) behind a name of a hosted domain (XEP-0114), and a client that talks with it.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "account": {"jid", "password", "host", "port"}, "component": {"name", "secret", "host", "port"}}
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys
from pathlib import Path

from slixmpp import ClientXMPP
from slixmpp.componentxmpp import ComponentXMPP

DEADLINE = 60
plan = json.loads(Path(sys.argv[1]).read_text())


def started(stream):
    done = asyncio.get_running_loop().create_future()
    stream.add_event_handler("session_start", lambda _: done.done() or done.set_result(True))
    return done


async def run():
    own = plan["component"]
    bridge = ComponentXMPP(own["name"], own["secret"], own["host"], own["port"])
    for plugin in ("xep_0030", "xep_0199"):
        bridge.register_plugin(plugin)
    bridge["xep_0030"].add_identity(category="gateway", itype="irc", name="Bridge")

    def answer(message):
        if message["type"] in ("chat", "normal") and message["body"]:
            message.reply(f"bridged: {message['body']}").send()

    bridge.add_event_handler("message", answer)
    ready = started(bridge)
    # The name may still be taken for a moment by whoever tried it before.
    bridge.add_event_handler("disconnected", lambda _: ready.done() or bridge.connect())
    bridge.connect()
    await asyncio.wait_for(ready, DEADLINE)

    account = plan["account"]
    client = ClientXMPP(account["jid"], account["password"])
    client.ca_certs = Path(plan["ca"])
    client.enable_plaintext = False
    for plugin in ("xep_0030", "xep_0199"):
        client.register_plugin(plugin)
    inbox = asyncio.Queue()
    client.add_event_handler("message", inbox.put_nowait)
    ready = started(client)
    client.connect(account["host"], account["port"])
    await asyncio.wait_for(ready, DEADLINE)
    client.send_presence()

    items = await client["xep_0030"].get_items(jid=client.boundjid.domain, timeout=DEADLINE)
    names = [item[0] for item in items["disco_items"]["items"]]
    assert own["name"] in names, f"the domain lists {names}"
    info = await client["xep_0030"].get_info(jid=own["name"], timeout=DEADLINE)
    assert ("gateway", "irc", None, "Bridge") in info["disco_info"]["identities"], info
    client.send_message(mto=f"#chat%irc@{own['name']}", mbody="hello <&>", mtype="chat")
    got = await asyncio.wait_for(inbox.get(), DEADLINE)
    assert got["body"] == "bridged: hello <&>", got
    assert got["from"].bare == f"#chat%irc@{own['name']}", got["from"]
    await client.disconnect()
    await bridge.disconnect()
    return {"names": names}


print(json.dumps(asyncio.run(run())))
