"""A web server that has as much as one wants and takes as much as one gives.

usage: web.py     on port 80: GET /OCTETS answers so many zeros, PUT takes what comes
"""
import http.server
import socket

CHUNK = bytes(1 << 16)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        left = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left > 0:
            left -= self.wfile.write(CHUNK[:left])

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, len(CHUNK))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


server = Server(("::", 80), Handler)
print("ready", flush=True)
server.serve_forever()
