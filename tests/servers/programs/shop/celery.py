""""shop" in docs/services.md, as Celery's tasks. Messages and answers are files below $SHOP_FOLDER,
so that no broker has to run."""

import os

from celery import Celery

import orders

FOLDER = os.environ["SHOP_FOLDER"]
MESSAGES = os.path.join(FOLDER, "messages")

app = Celery("shop", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": MESSAGES, "data_folder_out": MESSAGES}
app.conf.task_ignore_result = True


@app.task
def deliver(number, count):
    text = ""
    for one in range(number * count, (number + 1) * count):
        text += orders.answer(one)
    path = os.path.join(FOLDER, "answers", str(number))
    with open(path + ".new", "w") as out:
        out.write(text)
    os.rename(path + ".new", path)


def send(first, end, count):
    """A task for each number, of `count` orders."""
    for number in range(first, end):
        deliver.delay(number, count)
