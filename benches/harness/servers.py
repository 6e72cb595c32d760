"""Starts what is measured, and stops it again."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process that answers on a port of its own. Its log goes to a file."""

    def __init__(self, name, command, port, log, ready="/oauth/jwks", environment=None):
        self.name, self.url = name, f"http://localhost:{port}"
        self.log = log
        started = time.monotonic()
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        self.wait(port, ready)
        self.ready_ms = (time.monotonic() - started) * 1000

    def wait(self, port, path, patience=30):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} stopped; see {self.log}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.001)
        raise SystemExit(f"{self.name} is not ready after {patience} s; see {self.log}")

    def memory(self):
        """Resident, in MiB."""
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Grantor:
    """The product with a database of its own, in which what `load` drives is registered."""

    def __init__(self, program, directory, database=None):
        self.program, self.directory = program, directory
        os.makedirs(directory, exist_ok=True)
        self.place = ["--data-dir", os.path.join(directory, "data")]
        if database:
            self.place += ["--database", database]
        register = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "register")
        subprocess.run([register, *self.place], env={**os.environ, "GRANTOR": program}, check=True)

    def start(self):
        port = free_port()
        command = [self.program, "serve", "--listen", f"127.0.0.1:{port}", *self.place]
        command += ["--issuer", f"http://localhost:{port}"]
        # A crowd of people at one address is what is measured, and not what the throttle makes of it.
        environment = {"GRANTOR__THROTTLE__ENABLED": "false"}
        log = os.path.join(self.directory, "log")
        return Server("Grantor", command, port, log, ready="/readyz", environment=environment)


def probe(program, directory, database, *flags):
    port = free_port()
    command = [program, "--listen", f"127.0.0.1:{port}", "--database", database, *flags]
    return Server("probe", command, port, os.path.join(directory, "probe.log"))


class Peer:
    """A peer's `start` installs it into a folder that git ignores, starts it and says `ready URL PID`."""

    def __init__(self, folder, variant, database, directory):
        self.name = os.path.basename(folder)
        log = open(os.path.join(directory, f"{self.name}.log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(folder, "start"), variant, database, str(free_port()), directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        log.close()
        for line in self.process.stdout:
            if line.startswith("ready "):
                _, self.url, pid = line.split()
                self.pid = int(pid)
                return
        raise RuntimeError(f"{self.name} did not start; see {self.name}.log")

    def stop(self):
        # Its own session: what it started goes with it.
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except ProcessLookupError:
            self.process.wait()
