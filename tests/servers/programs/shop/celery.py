"""What docs/services.md calls "shop", as Celery's tasks. Messages and answers are files below
$SHOP_FOLDER: no broker has to run."""

import os

from celery import Celery

import orders

FOLDER = os.environ["SHOP_FOLDER"]
MESSAGES = os.path.join(FOLDER, "messages")
ORDERS = 10

app = Celery("shop", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": MESSAGES, "data_folder_out": MESSAGES}
app.conf.task_ignore_result = True


@app.task
def deliver(number):
    text = ""
    for one in range(number * ORDERS, (number + 1) * ORDERS):
        text += orders.answer(one)
    path = os.path.join(FOLDER, "answers", str(number))
    with open(path + ".new", "w") as out:
        out.write("%d\n%s" % (os.getpid(), text))
    os.rename(path + ".new", path)


def send(first, end):
    for number in range(first, end):
        deliver.delay(number)
