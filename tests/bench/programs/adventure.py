"""A text adventure in which every character is a generator that is sent what it sees."""

ROOMS = {
    "hall": {"north": "library", "east": "kitchen"},
    "library": {"south": "hall", "up": "attic"},
    "kitchen": {"west": "hall", "down": "cellar"},
    "cellar": {"up": "kitchen"},
    "attic": {"down": "library"},
}


class Dice:
    """Not random: the same game for every Python."""

    def __init__(self, seed):
        self.state = seed

    def roll(self, sides):
        self.state = (self.state * 1103515245 + 12345) % 2147483648
        return (self.state >> 8) % sides


def ways(room):
    for direction in sorted(ROOMS[room]):
        yield direction


def nth(items, number):
    found = list(items)
    return found[number % len(found)]


def walker(name, dice):
    room = yield "say", name + " wakes up"
    while True:
        direction = nth(ways(room), dice.roll(6))
        room = yield "go", direction
        if dice.roll(4) == 0:
            room = yield "say", "%s is in the %s" % (name, room)


def thief(name, dice):
    room = yield "say", name + " hides"
    while True:
        for _ in range(dice.roll(3) + 1):
            room = yield "take", room
        room = yield from flee(room, dice)


def flee(room, dice):
    for _ in range(3):
        room = yield "go", nth(ways(room), dice.roll(5))
    return room


class World:
    def __init__(self, count):
        dice = Dice(7)
        self.people = []
        self.treasure = dict.fromkeys(ROOMS, 50)
        self.log_size = 0
        for number in range(count):
            kind = thief if number % 3 == 0 else walker
            self.people.append(["hall", kind("number %d" % number, dice)])
        self.answers = [next(behaviour) for _, behaviour in self.people]

    def do(self, room, verb, what):
        if verb == "go":
            return ROOMS[room].get(what, room)
        if verb == "take" and self.treasure[what] > 0:
            self.treasure[what] -= 1
        elif verb == "say":
            self.log_size += len(what)
        return room

    def turn(self):
        for number, person in enumerate(self.people):
            person[0] = self.do(person[0], *self.answers[number])
            self.answers[number] = person[1].send(person[0])

    def census(self):
        return {room: sum(1 for at, _ in self.people if at == room) for room in ROOMS}


def run():
    world = World(30)
    for _ in range(450):
        world.turn()
    census = world.census()
    return "%s %d" % (" ".join("%s=%d" % pair for pair in sorted(census.items())), world.log_size)
