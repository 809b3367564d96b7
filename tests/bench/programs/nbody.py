"""Bodies that attract each other, with a leapfrog integrator and objects instead of arrays."""

import math


class Body:
    def __init__(self, mass, position, velocity):
        self.mass = mass
        self.position = position
        self.velocity = velocity

    def kick(self, acceleration, step):
        self.velocity = [v + a * step for v, a in zip(self.velocity, acceleration)]

    def drift(self, step):
        self.position = [p + v * step for p, v in zip(self.position, self.velocity)]

    def kinetic(self):
        return 0.5 * self.mass * sum(v * v for v in self.velocity)


class System:
    softening = 1e-3

    def __init__(self, bodies):
        self.bodies = bodies

    def pull(self, on, by):
        dx = by.position[0] - on.position[0]
        dy = by.position[1] - on.position[1]
        dz = by.position[2] - on.position[2]
        square = dx * dx + dy * dy + dz * dz + self.softening
        strength = by.mass / (square * math.sqrt(square))
        return dx * strength, dy * strength, dz * strength

    def acceleration(self, body):
        ax = ay = az = 0.0
        for other in self.bodies:
            if other is not body:
                x, y, z = self.pull(body, other)
                ax += x
                ay += y
                az += z
        return ax, ay, az

    def advance(self, step):
        for body in self.bodies:
            body.kick(self.acceleration(body), step / 2)
        for body in self.bodies:
            body.drift(step)
        for body in self.bodies:
            body.kick(self.acceleration(body), step / 2)

    def potential(self):
        total = 0.0
        for i, one in enumerate(self.bodies):
            for other in self.bodies[:i]:
                distance = math.sqrt(
                    sum((a - b) ** 2 for a, b in zip(one.position, other.position))
                )
                total -= one.mass * other.mass / distance
        return total

    def energy(self):
        return self.potential() + sum(body.kinetic() for body in self.bodies)


def run():
    bodies = [Body(1.0, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])]
    for i in range(1, 8):
        speed = math.sqrt(1.0 / i)
        angle = i * 1.1
        bodies.append(
            Body(
                1e-3,
                [i * math.cos(angle), i * math.sin(angle), 0.01 * i],
                [-speed * math.sin(angle), speed * math.cos(angle), 0.0],
            )
        )
    system = System(bodies)
    for _ in range(250):
        system.advance(0.01)
    return "%.9f" % system.energy()
