"""A process that measures when it is asked to."""
import os
import subprocess


class Contender:
    """A process that measures when it is asked, on cores that are its own choice of `cores`."""

    def __init__(self, name, cores, command, env=None):
        self.name, self.rounds = name, []
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"OMP_NUM_THREADS": str(len(cores.split(",")))} | (env or {}))

    def ready(self):
        """Whether it could start; what it said to stderr stands above."""
        return self.process.stdout.readline().strip() == "ready"

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.say(line)
        return self.hear()

    def hear(self):
        found = self.process.stdout.readline()
        if not found:
            raise SystemExit(f"{self.name}: ended with {self.process.wait()}")
        return found

    def numbers(self, line):
        return [float(v) for v in self.ask(line).split()]

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
