"""A folder of downloads of their own, and a web server beside it, for tests of where weights come from."""
import http.server
import threading

import pytest
import torch


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Where downloads are kept."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def server(hub):
    """Serves ``{path: bytes or (bytes sent, headers)}``. Gives the mapping and the address."""
    files = {}

    class Handler(http.server.BaseHTTPRequestHandler):

        def do_GET(self):
            found = files.get(self.path)
            if found is None:
                return self.send_error(404)
            body, headers = found if isinstance(found, tuple) else (found, {'Content-Length': str(len(found))})
            self.send_response(302 if 'Location' in headers else 200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=.02), daemon=True).start()
    yield files, f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()
