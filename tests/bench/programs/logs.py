"""The logging module: a tree of loggers, filters, formatters, and handlers that write to memory."""

import io
import logging


class Shop(logging.Filter):
    """Drops every tenth record and marks the others."""

    def __init__(self):
        logging.Filter.__init__(self)
        self.seen = 0

    def filter(self, record):
        self.seen += 1
        record.shop = "shop %d" % (self.seen % 4)
        return self.seen % 10 != 0


class Counter(logging.Handler):
    def __init__(self):
        logging.Handler.__init__(self, logging.WARNING)
        self.count = 0

    def emit(self, record):
        self.count += len(record.getMessage())


def sell(log, number):
    log.debug("looking at %d", number)
    log.info("sold %d pieces of %s", number, "cheese")
    if number % 5 == 0:
        log.warning("only %(left)d left", {"left": 100 - number})


def run():
    stream = io.StringIO()
    root = logging.Logger("root", logging.INFO)
    manager = logging.Manager(root)
    handler = logging.StreamHandler(stream)
    handler.addFilter(Shop())
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(shop)s: %(message)s"))
    counter = Counter()
    root.addHandler(handler)
    root.addHandler(counter)
    names = ["shop", "shop.till", "shop.till.north", "stock"]
    loggers = [manager.getLogger(name) for name in names]
    for number in range(500):
        for log in loggers:
            sell(log, number % 100)
    return "%d %d" % (len(stream.getvalue()), counter.count)
