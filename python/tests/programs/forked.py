"""A forked child is no rank: its call is refused, and the parent goes on."""

import os

from here import tell

import dlcast

dlcast.sync()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    try:
        dlcast.sync(timeout=3)
        said = "nothing"
    except dlcast.SessionError as error:
        said = str(error)
    os.write(writer, said.encode())
    os._exit(0)
os.waitpid(child, 0)
said = os.read(reader, 4096).decode()
tell(said=said, parent=dlcast.sync(timeout=10).rounds)
