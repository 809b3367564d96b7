"""A small operating system: tasks with priorities, devices that answer later, a clock of events."""

import heapq


class Packet:
    def __init__(self, kind, payload):
        self.kind = kind
        self.payload = payload
        self.hops = 0


class Task:
    def __init__(self, kernel, name, priority):
        self.kernel = kernel
        self.name = name
        self.priority = priority
        self.inbox = []
        self.waiting = True
        self.done = 0

    def __lt__(self, other):
        return self.priority > other.priority

    def deliver(self, packet):
        packet.hops += 1
        self.inbox.append(packet)
        if self.waiting:
            self.waiting = False
            self.kernel.make_ready(self)

    def step(self):
        packet = self.inbox.pop(0)
        self.handle(packet)
        self.done += 1
        if self.inbox:
            self.kernel.make_ready(self)
        else:
            self.waiting = True

    def handle(self, packet):
        raise NotImplementedError


class Device(Task):
    def __init__(self, kernel, name, delay):
        Task.__init__(self, kernel, name, 9)
        self.delay = delay

    def handle(self, packet):
        self.kernel.after(self.delay, self.kernel.find("worker"), packet)


class Worker(Task):
    def handle(self, packet):
        packet.payload = [self.shift(letter, packet.hops) for letter in packet.payload]
        if packet.hops < 12:
            self.kernel.find(self.next_device(packet)).deliver(packet)
        else:
            self.kernel.find("sink").deliver(packet)

    def shift(self, letter, by):
        return (letter + by) % 26

    def next_device(self, packet):
        return "disk" if packet.kind == "data" or packet.hops % 3 == 0 else "net"


class Sink(Task):
    total = 0

    def handle(self, packet):
        self.total += sum(packet.payload)


class Kernel:
    def __init__(self):
        self.tasks = {}
        self.ready = []
        self.events = []
        self.now = 0
        self.sequence = 0

    def add(self, task):
        self.tasks[task.name] = task
        return task

    def find(self, name):
        return self.tasks[name]

    def make_ready(self, task):
        heapq.heappush(self.ready, task)

    def after(self, delay, task, packet):
        self.sequence += 1
        heapq.heappush(self.events, (self.now + delay, self.sequence, task, packet))

    def run(self):
        while self.ready or self.events:
            while self.ready:
                heapq.heappop(self.ready).step()
            if self.events:
                self.now, _, task, packet = heapq.heappop(self.events)
                task.deliver(packet)


def run():
    kernel = Kernel()
    kernel.add(Worker(kernel, "worker", 5))
    kernel.add(Device(kernel, "disk", 7))
    kernel.add(Device(kernel, "net", 3))
    sink = kernel.add(Sink(kernel, "sink", 1))
    for number in range(900):
        payload = [(number * 7 + i) % 26 for i in range(6)]
        kernel.find("net").deliver(Packet("data" if number % 2 else "control", payload))
    kernel.run()
    return "%d at %d, %d steps" % (sink.total, kernel.now, kernel.find("worker").done)
