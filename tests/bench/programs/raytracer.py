"""A ray tracer: spheres over a chequered floor, shadows and one bounce, in classes of its own."""

import math


class Vector:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x, self.y, self.z = x, y, z

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def scaled(self, by):
        return Vector(self.x * by, self.y * by, self.z * by)

    def dot(self, other):
        return self.x * other.x + self.y * other.y + self.z * other.z

    def unit(self):
        return self.scaled(1.0 / math.sqrt(self.dot(self)))

    def mirrored(self, normal):
        return self - normal.scaled(2.0 * self.dot(normal))


class Ray:
    def __init__(self, origin, direction):
        self.origin = origin
        self.direction = direction

    def at(self, distance):
        return self.origin + self.direction.scaled(distance)


class Sphere:
    shine = 0.4

    def __init__(self, centre, radius, colour):
        self.centre = centre
        self.radius = radius
        self.tint = colour

    def hit(self, ray):
        to = self.centre - ray.origin
        along = to.dot(ray.direction)
        rest = self.radius * self.radius - to.dot(to) + along * along
        if rest < 0.0:
            return None
        distance = along - math.sqrt(rest)
        return distance if distance > 1e-6 else None

    def normal(self, point):
        return (point - self.centre).unit()

    def colour(self, point):
        return self.tint


class Floor:
    shine = 0.1

    def hit(self, ray):
        if ray.direction.y > -1e-6:
            return None
        return -ray.origin.y / ray.direction.y

    def normal(self, point):
        return Vector(0.0, 1.0, 0.0)

    def colour(self, point):
        return 0.9 if (math.floor(point.x) + math.floor(point.z)) % 2 else 0.2


class Scene:
    def __init__(self):
        self.things = [Floor()]
        self.light = Vector(5.0, 8.0, -4.0)

    def nearest(self, ray):
        best, found = float("inf"), None
        for thing in self.things:
            distance = thing.hit(ray)
            if distance is not None and distance < best:
                best, found = distance, thing
        return best, found

    def is_lit(self, point, towards):
        return all(thing.hit(Ray(point, towards)) is None for thing in self.things)

    def trace(self, ray, depth):
        distance, thing = self.nearest(ray)
        if thing is None:
            return 0.5 + 0.5 * max(0.0, ray.direction.y)
        point = ray.at(distance)
        normal = thing.normal(point)
        towards = (self.light - point).unit()
        shade = 0.15
        if self.is_lit(point + normal.scaled(1e-4), towards):
            shade += max(0.0, normal.dot(towards))
        colour = thing.colour(point) * shade
        if depth > 0:
            bounced = Ray(point + normal.scaled(1e-4), ray.direction.mirrored(normal))
            colour += thing.shine * self.trace(bounced, depth - 1)
        return colour


def run():
    scene = Scene()
    for i in range(4):
        scene.things.append(Sphere(Vector(i * 1.6 - 2.4, 0.8, 3.0 + i % 2), 0.8, 0.3 + 0.15 * i))
    width, height, total = 48, 30, 0
    for row in range(height):
        for column in range(width):
            x = (column - width / 2.0) / (width / 2.0)
            y = (height / 2.0 - row) / (width / 2.0)
            ray = Ray(Vector(0.0, 1.2, -2.0), Vector(x, y, 1.4).unit())
            total += int(255 * min(1.0, scene.trace(ray, 1)))
    return str(total)
