"""Paths of files of Debian's packages, and of programs/."""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
PYTHON = "/usr/bin/python3"
MODULES = "/usr/lib/python3/dist-packages"

sys.path.insert(1, PROGRAMS)


def require(path, package):
    if not os.path.exists(path):
        raise RuntimeError("%s is not there: apt-get install %s" % (path, package))


def require_module(name):
    require(os.path.join(MODULES, name), "python3-" + name)


def program(name):
    return os.path.join(PROGRAMS, name)
