"""A camera for the tests: plays a recording over RTSP on a free port of loopback, and prints its address."""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( filesrc location={sys.argv[1]} ! decodebin ! audioconvert ! audioresample"
    " ! audio/x-raw,rate=44100,channels=1 ! rtpL16pay name=pay0 pt=96 )"
)
server.get_mount_points().add_factory("/stream", factory)
server.attach(None)
print(f"rtsp://127.0.0.1:{server.get_bound_port()}/stream", flush=True)
GLib.MainLoop().run()
