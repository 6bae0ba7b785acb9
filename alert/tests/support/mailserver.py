"""A mail server for tests: Debian's aiosmtpd on a free port, which it prints. Keeps letters in a Maildir."""

import argparse
import asyncio
import mailbox
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("maildir")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--login", help="USER:PASSWORD")
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--wrapped", action="store_true", help="TLS from the first byte")
parser.add_argument("--content", default="takes", help="takes, dies-before, dies-after, later-once, refuses")
options = parser.parse_args()

box = mailbox.Maildir(options.maildir, create=True)
asked = set()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("refused@"):
            return "550 5.1.1 no such user"
        if address.startswith("later@") and address not in asked:
            asked.add(address)
            return "450 4.2.1 come again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        if options.content == "refuses":
            return "554 5.6.0 not this content"
        if options.content == "later-once" and "content" not in asked:
            asked.add("content")
            return "451 4.3.0 come again"
        secure = server.transport.get_extra_info("ssl_object") is not None
        head = f"X-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\nX-Tls: {secure}\r\n"
        box.add(head.encode() + envelope.original_content)
        if options.content == "dies-after":
            os._exit(1)
        return "250 2.0.0 taken"


class Server(SMTP):
    async def smtp_DATA(self, arg):
        if options.content == "dies-before":
            await self.push("354 go on")
            await self._reader.readline()
            os._exit(1)
        await super().smtp_DATA(arg)


def authenticate(server, session, envelope, mechanism, data):
    given = f"{data.login.decode()}:{data.password.decode()}"
    return AuthResult(success=given == options.login, handled=False)


async def main():
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    extra = {"tls_context": context} if context and not options.wrapped else {}
    if options.login:
        extra |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": context is not None}
        extra |= {"auth_require_tls": False} if options.wrapped else {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Server(Handler(), hostname="mail.test", loop=loop, **extra),
        "127.0.0.1",
        options.port,
        ssl=context if options.wrapped else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    # Ends with the test that started it.
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
