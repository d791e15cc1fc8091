"""A BUS program over pynng, as the original's Python class was one: pynng_bus.py URL IDENTITY

Publishes what the lines of standard input say, prints every body that comes (both as body.h has it), ends with its
input. Its texts are written by msgpack: `text` as str, `bin` as the Python 2 original did.
"""

import sys
import threading

import msgpack
import pynng

# NNG's BUS drops what does not fit its queues, which hold 16 messages unless told otherwise.
QUEUE = 8192


def show(body):
    line = "body " + (body.hex() or "-")
    try:
        sender, name, data = msgpack.unpackb(body, raw=True)
        if isinstance(data, bytes):
            kind = "bin" if isinstance(msgpack.unpackb(body, raw=False)[2], bytes) else "text"
            line += "\t" + "\t".join(part.decode() for part in (sender, name, kind.encode(), data))
    except (ValueError, TypeError):
        pass
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def receive(bus):
    try:
        while True:
            show(bus.recv())
    except pynng.Closed:
        pass


def main(url, identity):
    bus = pynng.Bus0(send_buffer_size=QUEUE, recv_buffer_size=QUEUE)
    threading.Thread(target=receive, args=(bus,), daemon=True).start()
    bus.dial(url, block=False)
    for line in sys.stdin:
        command, *rest = line.rstrip("\n").split(" ", 2)
        if command == "raw":
            bus.send(bytes.fromhex(rest[0] if rest else ""))
        else:
            name, value = rest
            if command == "fill":
                value = "x" * int(value)
            elif command == "bin":
                value = value.encode()
            elif command != "text":
                sys.exit("pynng_bus: not a command: " + line)
            bus.send(msgpack.packb([identity, name, value], use_bin_type=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
