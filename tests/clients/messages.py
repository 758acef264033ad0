"""What a real client (slixmpp) sees of a conversation that it does not lead: copies, the archive, and blocking.

Reads one JSON object from the file named by the first argument:
    {"ca": PATH, "ours": {"jid", "password", "host", "port", "direct_tls"}, "theirs": {…}}
`ours` logs in twice: one session writes with `theirs`, which may be at any server, the other one follows by carbons and
reads everything again from the archive, in pages. Then `theirs` is blocked, heard of no more and told nothing, until it is unblocked.
Ends with exit status 0 and one JSON line, or says what is missing and ends with 1.
"""

import asyncio
import json
import sys

from chat import DEADLINE, Client

ROUNDS = 3


class Follower(Client):
    def __init__(self, account, ca):
        super().__init__(account, ca)
        for plugin in ("xep_0280", "xep_0313", "xep_0191"):
            self.register_plugin(plugin)
        self.copies = asyncio.Queue()
        self.errors = asyncio.Queue()
        self.pushes = asyncio.Queue()
        self.add_event_handler("carbon_sent", lambda m: self.copies.put_nowait(("sent", m["carbon_sent"])))
        self.add_event_handler("carbon_received", lambda m: self.copies.put_nowait(("received", m["carbon_received"])))
        self.add_event_handler("message_error", self.errors.put_nowait)
        for event in ("blocked", "unblocked"):
            self.add_event_handler(event, lambda _, event=event: self.pushes.put_nowait(event))


async def soon(queue):
    return await asyncio.wait_for(queue.get(), DEADLINE)


def expect(what, want, got):
    if want != got:
        raise RuntimeError(f"{what}: expected {want!r}, got {got!r}")


async def archive(client, peer):
    found = []
    async for message in client.plugin["xep_0313"].iterate(with_jid=peer, rsm={"max": 2}):
        inner = message["mam_result"]["forwarded"]["stanza"]
        found.append((inner["from"].bare, inner["body"]))
    return found


async def archived(client, peer, said):
    """The archive comes to hold what was said. It is heard before it is committed, and shown no sooner than that."""
    found = []

    async def all_of_it():
        nonlocal found
        while len(found) < len(said):
            found = await archive(client, peer)

    try:
        await asyncio.wait_for(all_of_it(), DEADLINE)
    finally:
        expect("archive", said, found)


async def run(plan):
    writer, follower = (Follower(plan["ours"], plan["ca"]) for _ in range(2))
    other = Follower(plan["theirs"], plan["ca"])
    clients = [writer, follower, other]
    for client in clients:
        client.start()
    for client in clients:
        await asyncio.wait_for(client.ready, DEADLINE)
    await follower.plugin["xep_0280"].enable(timeout=DEADLINE)
    said = []
    for n in range(ROUNDS):
        for a, b, way in ((writer, other, "sent"), (other, writer, "received")):
            body = f"{way} #{n} <&> ☃"
            a.send_message(mto=b.boundjid.full, mbody=body, mtype="chat")
            expect("delivered", body, (await soon(b.inbox))["body"])
            got, copy = await soon(follower.copies)
            expect("copy", (way, body, a.boundjid.full), (got, copy["body"], copy["from"].full))
            said.append((a.boundjid.bare, body))
    await archived(follower, other.boundjid.bare, said)

    for client in (writer, follower):
        await client.plugin["xep_0191"].get_blocked(timeout=DEADLINE)
    await writer.plugin["xep_0191"].block(other.boundjid.bare, timeout=DEADLINE)
    expect("push", "blocked", await soon(follower.pushes))
    other.send_message(mto=writer.boundjid.bare, mbody="unheard", mtype="chat")
    # What is answered after it has come after it.
    await other.plugin["xep_0030"].get_info(jid=writer.boundjid.domain, timeout=DEADLINE)
    await writer.plugin["xep_0191"].unblock(other.boundjid.bare, timeout=DEADLINE)
    expect("push", "unblocked", await soon(follower.pushes))
    other.send_message(mto=writer.boundjid.full, mbody="heard", mtype="chat")
    expect("unblocked", "heard", (await soon(writer.inbox))["body"])
    said.append((other.boundjid.bare, "heard"))
    await archived(follower, other.boundjid.bare, said)
    # Who is blocked and no contact hears what they would hear where nobody is.
    if not (writer.inbox.empty() and other.inbox.empty() and other.errors.empty()):
        raise RuntimeError("something came that was not sent")
    for client in clients:
        await client.disconnect()
    print(json.dumps({"messages": len(said)}))


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as f:
            asyncio.get_event_loop_policy().get_event_loop().run_until_complete(run(json.load(f)))
    except Exception as error:  # the one place where a failure becomes an exit status
        print(f"messages.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
