"""A client of a gateway over pynng: pynng_client.py sub|push|req|surveyor URL IDENTITY

Sends what the lines of standard input say (as body.h has it), prints every message that comes as `message HEX`, ends
with its input. A SUB takes everything.
"""

import sys
import threading

import msgpack
import pynng

PATTERNS = {"sub": pynng.Sub0, "push": pynng.Push0, "req": pynng.Req0, "surveyor": pynng.Surveyor0}


# A SUB of NNG drops what does not fit its queue, which holds 128 messages unless told otherwise.
QUEUE = 8192


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def receive(socket):
    while True:
        try:
            say("message " + (socket.recv().hex() or "-"))
        except pynng.Timeout:  # the end of a survey
            return
        except pynng.Closed:
            return


def main(pattern, url, identity):
    socket = PATTERNS[pattern]()
    if pattern == "sub":
        socket.recv_buffer_size = QUEUE
        socket.subscribe(b"")
    if pattern == "surveyor":
        # A survey is over after a second unless told otherwise.
        socket.survey_time = 60000
    socket.recv_max_size = 0
    socket.dial(url, block=True)
    say("connected")
    if pattern == "sub":
        threading.Thread(target=receive, args=(socket,), daemon=True).start()
    for line in sys.stdin:
        command, *rest = line.rstrip("\n").split(" ", 2)
        if command == "raw":
            socket.send(bytes.fromhex(rest[0] if rest else ""))
        elif command in ("text", "bin"):
            name, value = rest
            socket.send(msgpack.packb([identity, name, value.encode() if command == "bin" else value]))
        else:
            sys.exit("pynng_client: not a command: " + line)
        if pattern == "req":
            say("message " + (socket.recv().hex() or "-"))
        elif pattern == "surveyor":
            receive(socket)


if __name__ == "__main__":
    main(*sys.argv[1:])
