"""A real client (slixmpp) that answers: it agrees to subscriptions, asks back, and returns every message to whoever sent it.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "account": {"jid", "password", "host", "port"}}
Prints "ready" once it is online, and goes on until it is told to end (SIGTERM).
"""

import asyncio
import json
import sys
from pathlib import Path

from slixmpp import ClientXMPP

plan = json.loads(Path(sys.argv[1]).read_text())


class Echo(ClientXMPP):
    def __init__(self, account):
        super().__init__(account["jid"], account["password"])
        self.ca_certs = Path(plan["ca"])
        self.enable_plaintext = False
        self.auto_authorize = True
        self.auto_subscribe = True
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: sys.exit("authentication failed"))
        self.add_event_handler("message", self.answer)

    async def started(self, _):
        self.send_presence()
        await self.get_roster()
        print("ready", flush=True)

    def answer(self, message):
        if message["body"] and message["type"] == "chat":
            self.send_message(mto=message["from"], mbody=f"echo: {message['body']}", mtype="chat")


async def run():
    client = Echo(plan["account"])
    client.connect(plan["account"]["host"], plan["account"]["port"])
    await client.disconnected


asyncio.run(run())
